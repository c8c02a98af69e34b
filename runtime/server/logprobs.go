package server

import (
	"math"
	"strconv"
	"unicode/utf8"

	"llmc/engine"
)

// appendChatLogprobs appends the object `logprobs` of a chat choice for some tokens.
func appendChatLogprobs(dst []byte, tok Tokenizer, samples []engine.Sampled, top int) []byte {
	dst = append(dst, `{"content":[`...)
	for i, s := range samples {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendChatLogprob(append(dst, '{'), tok, s.Token, s.Logprob)
		dst = append(dst, `,"top_logprobs":[`...)
		for j, alternative := range s.Top[:min(top, len(s.Top))] {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendChatLogprob(append(dst, '{'), tok, alternative.Token, alternative.Logprob), '}')
		}
		dst = append(dst, "]}"...)
	}
	return append(dst, `],"refusal":null}`...)
}

func appendChatLogprob(dst []byte, tok Tokenizer, id int32, logprob float32) []byte {
	bytes := tok.Token(id)
	dst = append(dst, `"token":`...)
	dst = appendTokenText(dst, bytes, "")
	dst = append(dst, `,"logprob":`...)
	dst = appendLogprob(dst, logprob)
	dst = append(dst, `,"bytes":[`...)
	for i, b := range bytes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(b), 10)
	}
	return append(dst, ']')
}

// appendTokenText appends the text of a token. Part of a character is spelled in hexadecimal escapes, as in the OpenAI API,
// behind a prefix that the completions endpoint has and the chat endpoint has not.
func appendTokenText(dst, token []byte, prefix string) []byte {
	if utf8.Valid(token) {
		return appendQuoted(dst, string(token))
	}
	spelled := []byte(prefix)
	for _, b := range token {
		if b < utf8.RuneSelf {
			spelled = append(spelled, b)
			continue
		}
		spelled = append(spelled, `\x`...)
		spelled = strconv.AppendUint(spelled, uint64(b), 16)
	}
	return appendQuoted(dst, string(spelled))
}

// appendLegacyLogprobs appends the object `logprobs` of a completion choice for some tokens. offset counts the characters of
// the tokens before; the new count is returned. The top list always has the token itself, so it may be one longer than asked.
func appendLegacyLogprobs(dst []byte, tok Tokenizer, samples []engine.Sampled, top, offset int) ([]byte, int) {
	texts := make([][]byte, len(samples))
	for i, s := range samples {
		texts[i] = appendTokenText(nil, tok.Token(s.Token), "bytes:")
	}
	column := func(name string, cell func(i int)) {
		dst = append(append(dst, name...), '[')
		for i := range samples {
			if i > 0 {
				dst = append(dst, ',')
			}
			cell(i)
		}
		dst = append(dst, ']')
	}
	column(`{"tokens":`, func(i int) { dst = append(dst, texts[i]...) })
	column(`,"token_logprobs":`, func(i int) { dst = appendLogprob(dst, samples[i].Logprob) })
	column(`,"top_logprobs":`, func(i int) { dst = appendLegacyTop(dst, tok, samples[i], texts[i], top) })
	column(`,"text_offset":`, func(i int) {
		dst = strconv.AppendInt(dst, int64(offset), 10)
		offset += characters(tok, samples[i].Token)
	})
	return append(dst, '}'), offset
}

// appendLegacyTop appends one object of token texts and log-probabilities, null where there are none to give.
func appendLegacyTop(dst []byte, tok Tokenizer, s engine.Sampled, text []byte, top int) []byte {
	if s.Logprob != s.Logprob {
		return append(dst, "null"...)
	}
	dst = append(append(append(dst, '{'), text...), ':')
	dst = appendLogprob(dst, s.Logprob)
	seen := map[string]bool{string(text): true} // ids whose texts are equal would be duplicate keys
	for _, alternative := range s.Top[:min(top, len(s.Top))] {
		key := string(appendTokenText(nil, tok.Token(alternative.Token), "bytes:"))
		if seen[key] {
			continue
		}
		seen[key] = true
		dst = append(append(append(dst, ','), key...), ':')
		dst = appendLogprob(dst, alternative.Logprob)
	}
	return append(dst, '}')
}

// characters counts the characters of the text that begin in a token; special tokens are not part of the text.
func characters(tok Tokenizer, id int32) int {
	if tok.Decode([]int32{id}, true) == "" {
		return 0
	}
	n := 0
	for _, b := range tok.Token(id) {
		if utf8.RuneStart(b) {
			n++
		}
	}
	return n
}

// promptSamples returns the log-probabilities of a prompt's tokens. Nothing came before the first: its own is NaN.
func promptSamples(c *choice) []engine.Sampled {
	given := c.gen.PromptLogprobs()
	ids := c.prompt.ids
	samples := make([]engine.Sampled, len(ids))
	copy(samples[len(ids)-min(len(given), len(ids)):], given)
	for i, id := range ids {
		samples[i].Token = id
	}
	samples[0] = engine.Sampled{Token: ids[0], Logprob: float32(math.NaN())}
	return samples
}
