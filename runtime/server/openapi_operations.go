package server

import (
	"reflect"

	"llmc/runtime/prefill"
)

// An operation is what the OpenAPI document says of a route beyond its row.
type operation struct {
	summary string
	on      endpoints // whose fields the body has; 0: body says it all
	body    schema    // nil: none is read
	bare    bool      // the body may be left out
	answer  any       // a schema, or a value whose JSON is the answer; nil: nothing is sent
	kind    string    // media type of the answer; "": JSON
	streams bool      // server-sent events too, where the request asks for them
	only    bool      // never anything but a stream
	writes  bool      // the model of the path has to generate
}

const eventStream = "text/event-stream"

// described are the operations of the routes, by method and path. Routes of a version of a model are those of the model.
var described = map[string]operation{
	"GET /":             {summary: "Chat page", kind: "text/html", answer: aText},
	"GET /openapi.json": {summary: "This document", answer: anObject},
	"GET /health":       {summary: "Whether requests are taken and every model makes progress", answer: healthAnswer{}},
	"GET /ping":         {summary: "As /health, for SageMaker", answer: healthAnswer{}},
	"GET /livez":        {summary: "Whether every model makes progress", answer: healthAnswer{}},
	"GET /readyz":       {summary: "As /health, for probes of readiness", answer: healthAnswer{}},
	"GET /startupz":     {summary: "Whether the plans are loaded", answer: healthAnswer{}},
	"GET /stats":        {summary: "Page of figures", kind: "text/html", answer: aText},
	"GET /stats/data":   {summary: "Figures of the models", answer: anObject},
	"GET /version":      {summary: "Version of the server", answer: versionAnswer{}},
	"GET /metrics":      {summary: "Metrics in Prometheus' text format", kind: "text/plain", answer: aText},

	"GET /v1/models":               {summary: "Models", answer: modelList{}},
	"GET /v1/models/{model}":       {summary: "A model", answer: modelEntry{}},
	"POST /v1/completions":         {summary: "Continue a text", on: onCompletions, answer: completionAnswer, streams: true},
	"POST /v1/chat/completions":    {summary: "Answer a conversation", on: onChat, answer: chatAnswer, streams: true},
	"POST /v1/responses":           {summary: "Answer a conversation, in items; nothing is kept", on: onResponses, answer: responseAnswer, streams: true},
	"POST /v1/embeddings":          {summary: "Vectors of texts", on: onEmbeddings, answer: embeddingsAnswer},
	"POST /v1/rerank":              {summary: "Documents in the order of what they have to do with a query", on: onRerank, answer: rerankAnswer{}},
	"POST /v1/score":               {summary: "What texts have to do with each other", on: onScore, answer: scoreAnswer{}},
	"POST /v1/load_lora_adapter":   {summary: "Offer an adapter beside a model", body: adapterBody, kind: "text/plain", answer: aText},
	"POST /v1/unload_lora_adapter": {summary: "Take an adapter away", body: unloadAdapterBody, kind: "text/plain", answer: aText},
	"POST " + prefill.Path:         {summary: "Pages of the KV cache of a prompt, for another server of the plan", body: pagesBody, kind: "application/octet-stream", answer: aText},
	"POST /tokenize":               {summary: "Ids of a text or a conversation", on: onTokenize, answer: either(schemaOf(reflect.TypeFor[tokenizeAnswer]()), schemaOf(reflect.TypeFor[[]textToken]()))},
	"POST /detokenize":             {summary: "Text of ids", on: onDetokenize, answer: detokenizeAnswer{}},
	"GET /tokenizer_info":          {summary: "Special tokens of the first model", answer: tokenizerInfo{}},

	"POST /":                {summary: "As /generate, in a list of one", on: onGenerate, answer: list(tgiAnswer, 1, 1), streams: true},
	"POST /generate":        {summary: "Continue a text, as Text Generation Inference does", on: onGenerate, answer: tgiAnswer, streams: true},
	"POST /generate_stream": {summary: "Continue a text token by token", on: onGenerateStream, streams: true, only: true},
	"POST /chat_tokenize":   {summary: "A conversation as the chat template lays it out, and its tokens", on: onChat, answer: chatTokenizeAnswer{}},
	"GET /info":             {summary: "What Text Generation Inference tells of its model, of the first", answer: infoAnswer{}},

	"GET /v2":                                   {summary: "Metadata of the server", answer: serverMetadata{}},
	"GET /v2/health/live":                       {summary: "As /livez", answer: healthAnswer{}},
	"GET /v2/health/ready":                      {summary: "As /health", answer: healthAnswer{}},
	"GET /v2/models/stats":                      {summary: "Statistics of all models", answer: statisticsList{}},
	"POST /v2/repository/index":                 {summary: "Models of the repository", bare: true, body: object(nil, map[string]schema{"ready": aFlag}), answer: []IndexEntry{}},
	"POST /v2/repository/models/{model}/load":   {summary: "Load a model of the repository", bare: true, body: object(nil, map[string]schema{"parameters": object(nil, nil)})},
	"POST /v2/repository/models/{model}/unload": {summary: "Unload a model of the repository", bare: true, body: object(nil, map[string]schema{"parameters": object(nil, map[string]schema{unloadDependents: aFlag})})},
	"GET /v2/models/{model}":                    {summary: "Metadata of a model", answer: modelMetadata{}},
	"GET /v2/models/{model}/ready":              {summary: "Whether a model takes requests", answer: readyAnswer{}},
	"GET /v2/models/{model}/config":             {summary: "Configuration of a model in Triton's words", answer: modelConfig{}},
	"GET /v2/models/{model}/stats":              {summary: "Statistics of a model", answer: statisticsList{}},
	"POST /v2/models/{model}/infer":             {summary: "Tensors of tensors; binary ones follow the JSON", body: inferBody, answer: inferAnswer},
	"POST /v2/models/{model}/generate":          {summary: "Continue a text, as Triton does", body: tritonBody(), answer: tritonAnswer, writes: true},
	"POST /v2/models/{model}/generate_stream":   {summary: "Continue a text piece by piece, as Triton does", body: tritonBody(), streams: true, only: true, writes: true},
}

// tritonBody is the body of Triton's generate extension: the optional tensors of a model that generates stand beside its text, or in parameters.
func tritonBody() schema {
	optional := map[string]schema{}
	for _, p := range tritonParameters {
		optional[p.name] = tritonSchema(p.name)
	}
	parameters := map[string]schema{"timeout": integers(0, longestTimeout.Microseconds())}
	members := map[string]schema{textInput: {"type": "string", "minLength": 1}, "id": anything}
	for name, s := range optional {
		members[name], parameters[name] = s, s
	}
	members["parameters"] = object(nil, parameters)
	return object([]string{textInput}, members)
}
