package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/internal/version"
	"llmc/runtime/metrics"
	"llmc/runtime/otlp"
	"llmc/runtime/requestlog"
)

// tellFlags say to whom a server tells of its requests, besides its metrics. Traces are set up by the environment, as the specification of
// OpenTelemetry has it.
type tellFlags struct {
	requestLog string
	logPrompts bool
}

func (f *tellFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.requestLog, "request-log", "", "file to which a line of JSON is appended for each request; - is standard output. Spans go to OTEL_EXPORTER_OTLP_ENDPOINT, if that is set")
	flags.BoolVar(&f.logPrompts, "request-log-prompts", false, "the lines have the prompts too")
}

// told is what is open while a server tells of its requests.
type told struct {
	requests *requestlog.Log
	traces   *otlp.Exporter
	log      *slog.Logger
}

func (f *tellFlags) open(registry *metrics.Registry, log *slog.Logger) (t told, err error) {
	t.log = log
	settings, err := otlp.Lookup(os.Getenv)
	if err != nil {
		return t, cli.Usagef("%v", err)
	}
	if f.requestLog != "" {
		if t.requests, err = requestlog.Open(f.requestLog, log); err != nil {
			return t, err
		}
		registry.Count("request_log_dropped_total", "Lines of the request log that were not written.", t.requests.Dropped)
	}
	if settings.Endpoint != "" {
		t.traces = otlp.New(settings, version.Full(), log)
		registry.Count("spans_dropped_total", "Spans that the collector did not take.", t.traces.Dropped)
	}
	return t, nil
}

// close writes and sends what waits.
func (t *told) close() {
	const patience = 3 * time.Second
	if t.requests != nil {
		if err := t.requests.Close(); err != nil {
			t.log.Error("closing", "err", err)
		}
	}
	if t.traces != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := t.traces.Close(ctx); err != nil {
			t.log.Error("closing", "err", err)
		}
	}
}
