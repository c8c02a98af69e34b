package sched

import (
	"errors"
	"fmt"

	"llmc/engine"
)

// Config are the limits of a scheduler.
type Config struct {
	engine.Settings     // MaxStepTokens, MaxSequences, MaxRows, MaxContext and PageSize count here
	Pages           int // KV pages of the device
	Vocab           int // sampled tokens outside are refused

	// ChunkTokens is how much of one prompt a step computes at most; 0: as much as the step holds.
	ChunkTokens int
	// PromptTokens says how many tokens of prompts a step may take in beside so many sequences that get their next token from it, while so many others are
	// to get their first; one is taken in any case. nil: as many as the step holds.
	PromptTokens func(decoding, coming int) int
	// Newcomers says how many of those that want it may have their first token beside so many that get their next one: at least one of them, so that nobody waits for
	// ever. nil: all.
	Newcomers func(decoding, want int) int
	// QueueLimit is how many sequences may wait beyond those that find a free place; 0: any number.
	QueueLimit int
	// NoPrefixCache computes every prompt from its first token.
	NoPrefixCache bool
	// CopyPages says that the owner makes the copies that TakeCopies tells, before it runs the step that was scheduled last. Then pages that are not full are
	// shared too. Not for models whose caches hold states, which change with every token.
	CopyPages bool
	// CacheEvents keeps what happens to the prefix cache for TakeCacheEvents.
	CacheEvents bool
	// MaxSource is how many tokens the text of a sequence may have that is encoded before its first step; 0: the model has no encoder.
	MaxSource int
	// MaxImage is how many tokens function "image" has for an image; 0: prompts have no images.
	MaxImage int
	// RopeSalt is engine.ModelInfo.RopeSalt.
	RopeSalt string
}

// ErrQueueFull is returned by Add while as many sequences wait as may.
var ErrQueueFull = errors.New("queue is full")

// check fills in what follows from the other fields and refuses limits under which nothing could run.
func (c *Config) check() error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"step tokens", c.MaxStepTokens}, {"sequences", c.MaxSequences}, {"rows", c.MaxRows},
		{"context", c.MaxContext}, {"page size", c.PageSize}, {"pages", c.Pages}, {"vocabulary", c.Vocab},
	} {
		if f.value < 1 {
			return fmt.Errorf("scheduler: %s is %d, must be positive", f.name, f.value)
		}
	}
	// Every running sequence may catch up by a token and sample one in every step.
	c.MaxSequences = min(c.MaxSequences, c.MaxStepTokens, c.MaxRows)
	// A sequence that is alone must always fit.
	c.MaxContext = min(c.MaxContext, c.Pages*c.PageSize)
	if c.ChunkTokens <= 0 {
		c.ChunkTokens = c.MaxStepTokens
	}
	if err := c.checkImages(); err != nil {
		return err
	}
	return c.checkSource()
}
