package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"llmc/runtime/rest"
)

// tinySizes make a model whose steps take next to no time: what is left is what the host does for each token and stream.
var tinySizes = map[string]any{
	"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
}

// tinyModel writes a checkpoint of those sizes, with the bundled model's tokenizer and no weights.
func (o *options) tinyModel() (dir string, err error) {
	dir = filepath.Join(o.dir, "tiny")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json", "config.json"} {
		text, err := os.ReadFile(filepath.Join(o.demo, name))
		if err != nil {
			return "", err
		}
		if name == "config.json" {
			config := map[string]any{}
			if err := json.Unmarshal(text, &config); err != nil {
				return "", err
			}
			for key, value := range tinySizes {
				config[key] = value
			}
			if text, err = json.Marshal(config); err != nil {
				return "", err
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

const (
	loadTokens = 128      // of each stream
	restBytes  = 12 << 20 // of memory that may be more at rest than before: what the Go runtime keeps of goroutines and spans it has had, 8 KB for each of 1,000 streams
)

// load asks for many streams at once, all different, and checks each, several times. Between them the server has time to give memory back: it must come to what
// it was when each prompt had been asked for once, whose pages stay cached.
func load(ctx context.Context, o *options) error {
	dir, err := o.tinyModel()
	if err != nil {
		return err
	}
	plan, err := o.build(ctx, dir, "tiny", "--weights", "random:1", "--quant", "bf16")
	if err != nil {
		return err
	}
	p, err := o.serve(plan, "--max-batch", strconv.Itoa(o.streams), "--kv-memory", "256M")
	if err != nil {
		return err
	}
	defer p.kill()
	t := newTraffic(p, o.streams)
	t.questions = longStreams("tiny", o.streams, loadTokens)
	if t.questions, err = learn(ctx, p.url, t.questions); err != nil {
		return err
	}
	start, err := t.rest(p, func(state) bool { return true })
	if err != nil {
		return err
	}
	o.say("before: each prompt was asked for once; %.1f MB at rest", float64(start.anon)/1e6)
	for round := range 3 {
		before, most, seconds, err := t.allAtOnce(ctx, p)
		if err != nil {
			return err
		}
		after, err := t.rest(p, start.holds)
		if err != nil {
			return err
		}
		tokens := float64(o.streams * loadTokens)
		spent := most.seconds - before.seconds
		o.say("round %d: %d streams of %d tokens in %.2f s, %.0f tokens/s; the server took %.1f us of processors a token and %.2f ms a stream, model included; %d descriptors, %.1f MB at most, %d and %.1f MB at rest",
			round+1, o.streams, loadTokens, seconds, tokens/seconds, 1e6*spent/tokens, 1e3*spent/float64(o.streams), most.descriptors, float64(most.anon)/1e6, after.descriptors, float64(after.anon)/1e6)
		o.say("streams: %s", t.latencies())
		t.forget()
		if after.anon > start.anon+restBytes {
			return fmt.Errorf("memory does not come back: %d bytes before the first round, %d after round %d", start.anon, after.anon, round+1)
		}
	}
	return errors.Join(t.result(), p.stop())
}

// rest lets the server come to rest, and give memory back.
func (t *traffic) rest(p *process, rested func(s state) bool) (state, error) {
	if s, err := t.quiet(p, rested); err != nil {
		return s, err
	}
	time.Sleep(rest.After + 5*time.Second)
	return p.look()
}

// allAtOnce asks all questions at once and watches the server.
func (t *traffic) allAtOnce(ctx context.Context, p *process) (before, most state, seconds float64, err error) {
	if before, err = p.look(); err != nil {
		return before, most, 0, err
	}
	var clients sync.WaitGroup
	done := make(chan struct{})
	began := time.Now()
	for _, q := range t.questions {
		clients.Go(func() { t.ask(ctx, q, true) })
	}
	go func() {
		clients.Wait()
		seconds = time.Since(began).Seconds()
		close(done)
	}()
	for {
		ended := false
		select {
		case <-done:
			ended = true
		case <-time.After(200 * time.Millisecond):
		}
		s, err := p.look()
		if err != nil {
			return before, most, seconds, err
		}
		most.anon, most.descriptors, most.seconds = max(most.anon, s.anon), max(most.descriptors, s.descriptors), s.seconds
		if ended {
			return before, most, seconds, nil
		}
	}
}
