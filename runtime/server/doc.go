// Package server offers models over HTTP as the OpenAI API does: completions, chat, streams of server-sent events, errors, keys,
// health, metrics, and a chat page. A request goes decode (table of fields) -> prompts -> batch of generations -> wording, whole
// or streamed. The package owns connections: who may speak, how long and how much, and that a client that left, or does not
// read, costs nothing.
//
// It must not know how tokens are made (Backend), cut (Tokenizer) or laid out in a conversation (ChatTemplate).
package server
