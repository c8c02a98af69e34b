package pattern

import (
	"strings"
	"unicode/utf8"

	"llmc/internal/tokenizer/ucd"
)

// GPT2 is the pattern that the ByteLevel pre-tokenizer has built in.
const GPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// splitters are the patterns of known tokenizers that have a hand-written matcher. A test holds each of them
// against the translated pattern.
var splitters = map[string]splitter{
	GPT2: gpt2,
	// Llama 3, GLM 4, SmolLM 3 and most others after cl100k
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: cl100k{digits: 3, letters: ucd.L, symbols: word}.at,
	// Qwen 2 and 3
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: cl100k{digits: 1, letters: ucd.L, symbols: word}.at,
	// Qwen 3.5: marks belong to words
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: cl100k{digits: 1, letters: ucd.L | ucd.M, symbols: word | ucd.M}.at,
	// o200k: gpt-oss, Llama 4, Phi 4 mini
	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`: o200k{digits: 3, contractions: true}.at,
	// tekken: Mistral Nemo and later
	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`: o200k{digits: 1}.at,
	// DeepSeek V3, the last of its three splits; the file has real newlines in some classes, escapes in others
	"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+": deepseek,
	// CLIP
	`'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`: clip,
	// BLOOM
	` ?[^(\s|[.,!?…。，、।۔،])]+`: bloom,
}

func gpt2(s scanner, i int) int {
	if end := s.contraction(i, false); end > i {
		return end
	}
	start := i
	if s.text[i] == ' ' {
		start++
	}
	c, size := s.class(start)
	switch {
	case c&ucd.L != 0:
		return s.skip(start, ucd.L)
	case c&ucd.N != 0:
		return s.skip(start, ucd.N)
	case size > 0 && c&blank == 0:
		return s.skipOut(start, word)
	}
	return s.spaces(i)
}

// cl100k is the family of GPT-4's pattern.
type cl100k struct {
	digits  int       // longest number
	letters ucd.Class // what words consist of
	symbols ucd.Class // what runs of symbols exclude
}

func (x cl100k) at(s scanner, i int) int {
	if end := s.contraction(i, true); end > i {
		return end
	}
	c, size := s.class(i)
	if c&(ucd.L|ucd.N) == 0 && !isNewline(s.text[i]) { // [^\r\n\p{L}\p{N}]? takes it
		if end := s.skip(i+size, x.letters); end > i+size {
			return end
		}
	}
	if c&x.letters != 0 {
		return s.skip(i, x.letters)
	}
	if end := s.digits(i, x.digits); end > i {
		return end
	}
	if end := s.symbols(i, x.symbols, "\r\n"); end >= 0 {
		return end
	}
	if end := s.lines(i); end >= 0 {
		return end
	}
	return s.spaces(i)
}

// o200k is the family of GPT-4o's pattern, which also splits words where capitals follow small letters.
type o200k struct {
	digits       int
	contractions bool
}

func (x o200k) at(s scanner, i int) int {
	if end := s.cased(i); end >= 0 {
		if x.contractions {
			return s.contraction(end, true)
		}
		return end
	}
	if end := s.digits(i, x.digits); end > i {
		return end
	}
	if end := s.symbols(i, word, "\r\n/"); end >= 0 {
		return end
	}
	if end := s.lines(i); end >= 0 {
		return end
	}
	return s.spaces(i)
}

// cased is [^\r\n\p{L}\p{N}]?U*L+|[^\r\n\p{L}\p{N}]?U+L* with U = upper and L = lower, or -1. The optional
// character may itself be a mark, which both classes hold: the order of the four attempts is that of the alternatives.
func (s *scanner) cased(i int) int {
	starts := [2]int{i, -1}
	if c, size := s.class(i); c&(ucd.L|ucd.N) == 0 && !isNewline(s.text[i]) {
		starts = [2]int{i + size, i}
	}
	for _, start := range starts {
		if start < 0 {
			continue
		}
		if end := s.smallEnd(start); end >= 0 {
			return end
		}
	}
	for _, start := range starts {
		if start < 0 {
			continue
		}
		if capitals := s.skip(start, upper); capitals > start {
			return s.skip(capitals, lower)
		}
	}
	return -1
}

// smallEnd is U*L+, or -1. U* first takes all it can; where no L follows it gives back down to the last character
// that is an L too, and then L+ matches that one alone.
func (s *scanner) smallEnd(i int) int {
	back := -1
	for {
		c, size := s.class(i)
		if c&upper == 0 {
			if c&lower != 0 {
				return s.skip(i, lower)
			}
			return back
		}
		i += size
		if c&lower != 0 {
			back = i
		}
	}
}

func deepseek(s scanner, i int) int {
	c, size := s.class(i)
	if b := s.text[i]; b < 0x80 && c&(ucd.P|ucd.S) != 0 {
		end := i + 1
		for end < len(s.text) && s.text[end]|0x20 >= 'a' && s.text[end]|0x20 <= 'z' {
			end++
		}
		if end > i+1 {
			return end
		}
	}
	const letters = ucd.L | ucd.M
	if c&(ucd.L|ucd.P|ucd.S) == 0 && !isNewline(s.text[i]) {
		if end := s.skip(i+size, letters); end > i+size {
			return end
		}
	}
	if c&letters != 0 {
		return s.skip(i, letters)
	}
	start := i
	if s.text[i] == ' ' {
		start++
	}
	if end := s.skip(start, ucd.P|ucd.S); end > start {
		return s.tail(end, "\r\n")
	}
	if end := s.lines(i); end >= 0 {
		return end
	}
	return s.spaces(i)
}

func clip(s scanner, i int) int {
	if end := s.contraction(i, false); end > i {
		return end
	}
	switch c, size := s.class(i); {
	case c&ucd.L != 0:
		return s.skip(i, ucd.L)
	case c&ucd.N != 0:
		return i + size
	case c&blank != 0:
		return -1
	}
	return s.skipOut(i, word)
}

// bloomStops is what BLOOM's class excludes beside white space.
const bloomStops = "(|).,!?…。，、।۔،"

func bloom(s scanner, i int) int {
	start := i
	if s.text[i] == ' ' {
		start++
	}
	end := start
	for {
		r, size := utf8.DecodeRune(s.text[end:])
		if size == 0 || s.table.Of(r)&blank != 0 || strings.ContainsRune(bloomStops, r) {
			break
		}
		end += size
	}
	if end == start {
		return -1
	}
	return end
}
