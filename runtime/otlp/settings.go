package otlp

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Settings are what the environment says.
type Settings struct {
	Endpoint string // URL that spans are sent to, host and port over gRPC; "": none are
	GRPC     bool   // over gRPC, not HTTP
	Headers  map[string]string
	Timeout  time.Duration // for one request to the collector
	Resource []Attribute
	Delay    time.Duration // how long spans are collected before they are sent
	Queue    int           // spans that may wait
	Batch    int           // spans of one request

	secure bool        // TLS, over gRPC: over HTTP the URL says so
	tls    *tls.Config // nil: what the system trusts

	follow bool    // spans of others' traces are sampled where their parents are
	share  float64 // of other traces that are sampled
}

// Lookup reads the environment: lookup is os.Getenv. Without an endpoint there is nothing to set.
func Lookup(lookup func(string) string) (Settings, error) {
	s := Settings{Headers: map[string]string{}, Timeout: 10 * time.Second, Delay: 5 * time.Second, Queue: 2048, Batch: 512, follow: true, share: 1}
	first := func(names ...string) string {
		for _, name := range names {
			if v := strings.TrimSpace(lookup(name)); v != "" {
				return v
			}
		}
		return ""
	}
	if strings.EqualFold(first("OTEL_SDK_DISABLED"), "true") || first("OTEL_TRACES_EXPORTER") == "none" {
		return s, nil
	}
	if err := s.collector(first); err != nil || s.Endpoint == "" {
		return s, err
	}
	if err := s.certificates(first); err != nil {
		return s, err
	}
	headers, err := pairs(first("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"))
	if err != nil {
		return s, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: %w", err)
	}
	for _, h := range headers {
		s.Headers[h.Key] = h.Value.(string)
	}
	if s.Resource, err = resource(lookup); err != nil {
		return s, err
	}
	if err := s.integers(first); err != nil {
		return s, err
	}
	return s, s.sampler(first("OTEL_TRACES_SAMPLER"), first("OTEL_TRACES_SAMPLER_ARG"))
}

// integers sets what is counted, and times in milliseconds.
func (s *Settings) integers(first func(names ...string) string) error {
	for _, n := range []struct {
		value string
		name  string
		set   func(n int)
	}{
		{first("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"), "OTEL_EXPORTER_OTLP_TIMEOUT", func(n int) { s.Timeout = time.Duration(n) * time.Millisecond }},
		{first("OTEL_BSP_SCHEDULE_DELAY"), "OTEL_BSP_SCHEDULE_DELAY", func(n int) { s.Delay = time.Duration(n) * time.Millisecond }},
		{first("OTEL_BSP_MAX_QUEUE_SIZE"), "OTEL_BSP_MAX_QUEUE_SIZE", func(n int) { s.Queue = n }},
		{first("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", func(n int) { s.Batch = n }},
	} {
		const most = 1 << 20
		if n.value == "" {
			continue
		}
		v, err := strconv.Atoi(n.value)
		if err != nil || v < 1 || v > most {
			return fmt.Errorf("%s is %.50q: must be an integer within 1..%d", n.name, n.value, most)
		}
		n.set(v)
	}
	return nil
}

// resource is who we are.
func resource(lookup func(string) string) ([]Attribute, error) {
	given, err := pairs(lookup("OTEL_RESOURCE_ATTRIBUTES"))
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	name := lookup("OTEL_SERVICE_NAME")
	all := []Attribute{}
	for _, a := range given {
		switch {
		case a.Key != "service.name":
			all = append(all, a)
		case name == "":
			name = a.Value.(string)
		}
	}
	if name == "" {
		name = "llmrun"
	}
	return append([]Attribute{{"service.name", name}}, all...), nil
}

// pairs reads a list "key=value,..." whose values are percent-encoded.
func pairs(list string) (all []Attribute, err error) {
	for _, item := range strings.Split(list, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		key, value, ok := strings.Cut(item, "=")
		key = strings.TrimSpace(key)
		if value, err = url.PathUnescape(strings.TrimSpace(value)); !ok || key == "" || err != nil {
			return nil, fmt.Errorf("must be key=value, separated by commas, values percent-encoded") // which may be secret
		}
		all = append(all, Attribute{key, value})
	}
	return all, nil
}

// sampler sets which traces are sampled.
func (s *Settings) sampler(name, arg string) error {
	base, follow := strings.CutPrefix(name, "parentbased_")
	switch base {
	case "":
		return nil
	case "always_on":
		s.share = 1
	case "always_off":
		s.share = 0
	case "traceidratio":
		if s.share = 1; arg != "" {
			share, err := strconv.ParseFloat(arg, 64)
			if err != nil || !(share >= 0 && share <= 1) {
				return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %.50q: must be within 0..1", arg)
			}
			s.share = share
		}
	default:
		return fmt.Errorf("OTEL_TRACES_SAMPLER is %.50q: must be always_on, always_off or traceidratio, with parentbased_ before it or not", name)
	}
	s.follow = follow
	return nil
}
