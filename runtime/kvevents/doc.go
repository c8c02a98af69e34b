// Package kvevents tells routers which prompts' pages are in the prefix cache, so that they send a request to the server that knows its beginning best. It speaks
// as vLLM does: batches of events in MessagePack, published over ZeroMQ, with a second port where a subscriber asks for batches that it has missed. What
// subscribers are told is only a hint: nothing here waits for them, and one that does not read is cut off.
package kvevents
