package main

import (
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/kvevents"
	"llmc/runtime/metrics"
)

// eventFlags say to whom a server tells what is in its prefix cache.
type eventFlags struct {
	address, replay, topic string
	publisher              *kvevents.Publisher // nil: nobody is told
}

// defaultTopic is what routers of llm-d read the server and the model from.
const defaultTopic = "kv@HOST@MODEL"

func (f *eventFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.address, "kv-events", "", "publish what is in the prefix cache as vLLM does, over ZeroMQ, for routers that send prompts where their beginning is known: tcp://*:5557 listens at --host, tcp://HOST:PORT connects")
	flags.StringVar(&f.replay, "kv-events-replay", "", "port where subscribers ask for events that they have missed, such as tcp://*:5558")
	flags.StringVar(&f.topic, "kv-events-topic", defaultTopic, "topic of the events; HOST is this machine's name, MODEL the model's")
}

// check refuses events of what has several models: their numbers count one stream.
func (f *eventFlags) check(cmd *cobra.Command, plans []string, directory string) error {
	if f.address == "" {
		return needs(cmd, "kv-events", "kv-events-replay", "kv-events-topic")
	}
	if len(plans) > 1 || directory != "" {
		return cli.Usagef("--kv-events tells of the cache of one plan: start a server for each")
	}
	return nil
}

// start opens the port of events, for the one plan that is served, at the address that the server listens on.
func (f *eventFlags) start(of *serveFlags, plans []string, registry *metrics.Registry, log *slog.Logger) error {
	if f.address == "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	topic := strings.NewReplacer("HOST", host, "MODEL", of.modelName(plans[0])).Replace(f.topic)
	if f.publisher, err = kvevents.Open(kvevents.Options{Host: of.host, Address: f.address, Replay: f.replay, Topic: topic, Log: log}); err != nil {
		return cli.Usagef("--kv-events: %v", err)
	}
	registry.Count("kv_events_dropped_total", "Batches of events of the prefix cache that nobody was told.", f.publisher.Dropped)
	return nil
}

// of has a model tell of its cache.
func (f *eventFlags) of(loaded *runtime.Loaded, options *runtime.Options) {
	if f.publisher == nil {
		return
	}
	limits, _ := loaded.Model.Limits()
	f.publisher.Begin(limits.PageSize)
	options.CacheEvents = f.publisher.Publish
}

func (f *eventFlags) stop() {
	if f.publisher != nil {
		f.publisher.Close()
	}
}
