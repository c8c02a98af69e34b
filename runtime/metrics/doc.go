// Package metrics counts what a server and its engines do and offers it to Prometheus, under the names, labels and buckets of
// vLLM, because dashboards, autoscalers and inference gateways read those. Observing takes no lock and allocates nothing, so the
// step loop may do it; totals and levels that an engine keeps anyway are read when scraped.
//
// It must not decide anything, and knows neither HTTP requests nor scheduling.
package metrics
