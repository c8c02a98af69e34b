package runtime

import "testing"

// A step that decodes takes in as much of prompts as keeps it below twice what it takes without, and anything before steps have been measured.
func TestPacePromptTokens(t *testing.T) {
	const decoding, base, token = 4, 10e-3, 0.2e-3 // seconds of a step that decodes, and of a token of a prompt more
	var p pace
	if n := p.promptTokens(decoding, 1); n < 1<<20 {
		t.Errorf("%d tokens before anything is known", n)
	}
	for range 8 {
		for _, n := range []int{0, 8, 16, 24, 32, 64, 128, 256, 512} {
			p.costs.Observe(decoding+n, base+token*float64(n))
		}
	}
	one := p.promptTokens(decoding, 1)
	if took := base + token*float64(one); took > 2*base || took < 1.3*base {
		t.Errorf("%d tokens beside %d sequences: %.2f times the time", one, decoding, took/base)
	}
	if n := p.promptTokens(decoding, 60); n < 5*one/2 {
		t.Errorf("%d tokens beside 60 prompts that came at once, %d beside one: nobody is used to anything yet", n, one)
	}
	for range enoughGaps {
		p.observe(decoding, true, base)
	}
	if n := p.promptTokens(decoding, 60); n > one {
		t.Errorf("%d tokens beside 60 prompts where streams are used to steps without, %d beside one", n, one)
	}
	p.observe(64, false, base+token*64)
	if n := p.promptTokens(decoding, 60); n < 5*one/2 {
		t.Errorf("%d tokens beside 60 prompts after a step that answered nobody", n)
	}
	for n := range 200 { // prompts have become slower
		p.costs.Observe(decoding+leastPrompt+n%40, 8*base)
	}
	if n := p.promptTokens(decoding, 1); n != leastPrompt {
		t.Errorf("%d tokens where each is slow", n)
	}
}
