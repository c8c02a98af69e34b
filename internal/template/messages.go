package template

import "slices"

// reasoningKeys are the names under which clients send the reasoning of an assistant's message, the preferred one first.
var reasoningKeys = []string{"reasoning_content", "thinking", "reasoning"}

// NormalizeMessages prepares the messages of a request the way transformers 5 does before it renders them: members that are
// null are dropped, because many templates print or trip over them, and reasoning sent under any of its names is given
// under the two that templates read. Render itself takes messages as they are.
func NormalizeMessages(messages Value) Value {
	items, ok := Elements(messages)
	if !ok {
		return messages
	}
	normal := make([]Value, len(items))
	for i, message := range items {
		normal[i] = normalizeMessage(message)
	}
	return &listValue{items: normal}
}

func normalizeMessage(message Value) Value {
	d, ok := message.(*dictValue)
	if !ok {
		return message
	}
	var reasoning Value
	for _, key := range slices.Backward(reasoningKeys) {
		if v, ok := d.getString(key); ok && v != None {
			reasoning = v
		}
	}
	normal := newDict(len(d.entries) + 2)
	if reasoning != nil {
		normal.setString("thinking", reasoning)
	}
	for _, e := range d.entries {
		if key, ok := asText(e.key); ok && e.value != None {
			normal.setString(key, e.value)
		}
	}
	if reasoning != nil {
		normal.setString("reasoning_content", reasoning)
	}
	return normal
}
