package server

import (
	"fmt"
	"strconv"
	"time"
)

// bucket is what may be used of a quota by the minute: it fills up steadily to a minute's worth, and may be overdrawn.
type bucket struct {
	left  float64
	since time.Time // zero: it is full
}

// refill brings the bucket to the present.
func (b *bucket) refill(perMinute int, now time.Time) {
	if b.since.IsZero() {
		b.left = float64(perMinute)
	} else {
		b.left = min(float64(perMinute), b.left+float64(perMinute)/60*max(0, now.Sub(b.since).Seconds()))
	}
	b.since = now
}

// until returns after how long the bucket has so much.
func (b *bucket) until(amount float64, perMinute int) time.Duration {
	return time.Duration(max(0, amount-b.left) / (float64(perMinute) / 60) * float64(time.Second))
}

// telling sets a header of an answer; nil: it has none.
type telling func(name, value string)

// tell says in the headers of OpenAI's API what is left of a quota, and after how long all of it is there again.
func (b *bucket) tell(tell telling, of string, perMinute int) {
	if perMinute == 0 {
		return
	}
	tell("X-Ratelimit-Limit-"+of, strconv.Itoa(perMinute))
	tell("X-Ratelimit-Remaining-"+of, strconv.Itoa(max(0, int(b.left))))
	tell("X-Ratelimit-Reset-"+of, b.until(float64(perMinute), perMinute).Round(time.Millisecond).String())
}

// keyUse is what a key has done lately.
type keyUse struct {
	running          int
	requests, tokens bucket
}

// allowance is what a request may do under the quotas of its key. A nil one has no key, and no bounds.
type allowance struct {
	keys     *Keys
	rule     *keyRule
	reserved int // tokens
}

// enter lets a request of a key begin, or refuses it and says when to come again. It ends with leave. tell gets the headers of both.
func (k *Keys) enter(rule *keyRule, now time.Time, tell telling) (*allowance, *apiError) {
	k.mu.Lock()
	defer k.mu.Unlock()
	use := k.use(rule, now)
	defer use.tell(rule, tell)
	switch {
	case rule.atOnce > 0 && use.running >= rule.atOnce:
		return nil, &apiError{status: 429, kind: kindRateLimit, code: "too_many_concurrent_requests", retry: time.Second,
			message: fmt.Sprintf("the key may have %d requests at a time", rule.atOnce)}
	case rule.perMinute > 0 && use.requests.left < 1:
		return nil, exceeded(&use.requests, 1, rule.perMinute, fmt.Sprintf("the key may begin %d requests a minute", rule.perMinute))
	case rule.tokensPerMinute > 0 && use.tokens.left < 1: // before the request is read
		return nil, exceeded(&use.tokens, 1, rule.tokensPerMinute, fmt.Sprintf("the key may use %d tokens a minute", rule.tokensPerMinute))
	}
	use.requests.left--
	use.running++
	return &allowance{keys: k, rule: rule}, nil
}

func exceeded(b *bucket, amount float64, perMinute int, message string) *apiError {
	return &apiError{status: 429, kind: kindRateLimit, code: "rate_limit_exceeded", retry: max(b.until(amount, perMinute), time.Millisecond), message: message}
}

// use returns what a key has done, brought to the present. The caller holds the lock.
func (k *Keys) use(rule *keyRule, now time.Time) *keyUse {
	use := k.used[rule.sum]
	if use == nil {
		use = &keyUse{}
		k.used[rule.sum] = use
	}
	use.requests.refill(rule.perMinute, now)
	use.tokens.refill(rule.tokensPerMinute, now)
	return use
}

func (u *keyUse) tell(rule *keyRule, tell telling) {
	if tell == nil {
		return
	}
	u.requests.tell(tell, "Requests", rule.perMinute)
	u.tokens.tell(tell, "Tokens", rule.tokensPerMinute)
}

// reserve takes the tokens that a request may use from its key's quota: those of its prompts, and those of outputs that it bounds itself. More than a
// minute's worth needs all of that and leaves a debt, as outputs do that no one bounded.
func (a *allowance) reserve(tokens int, now time.Time, tell telling) *apiError {
	if a == nil || a.rule.tokensPerMinute == 0 {
		return nil
	}
	a.keys.mu.Lock()
	defer a.keys.mu.Unlock()
	use, perMinute := a.keys.use(a.rule, now), a.rule.tokensPerMinute
	defer use.tell(a.rule, tell)
	if need := float64(min(tokens, perMinute)); use.tokens.left < need {
		return exceeded(&use.tokens, need, perMinute,
			fmt.Sprintf("the key may use %d tokens a minute, %d of which are left; the request may use %d", perMinute, max(0, int(use.tokens.left)), tokens))
	}
	use.tokens.left -= float64(tokens)
	a.reserved += tokens // steps of an ensemble reserve one after the other
	return nil
}

// leave ends a request that has used so many tokens: what was reserved beyond them is given back.
func (a *allowance) leave(used int) {
	if a == nil {
		return
	}
	a.keys.mu.Lock()
	defer a.keys.mu.Unlock()
	use := a.keys.used[a.rule.sum]
	use.running--
	use.tokens.left = min(float64(a.rule.tokensPerMinute), use.tokens.left+float64(a.reserved-used))
}

// apply gives a request what its key has.
func (a *allowance) apply(r *request) {
	if a == nil {
		return
	}
	rule := a.rule
	r.base.Priority = max(r.base.Priority, rule.priority)
	r.base.Tenant, r.base.Share = string(rule.sum[:]), rule.share
	if !rule.shared {
		r.base.CacheSalt = string(rule.sum[:]) + r.base.CacheSalt
	}
}

// mostTokens is how many tokens a request may use, as far as it says.
func (r *request) mostTokens() int {
	sum := 0
	for i := range r.prompts {
		sum += len(r.prompts[i].ids)
		if r.maxTokens > 0 {
			sum += r.generations() * min(r.maxTokens, r.model.MaxContext)
		}
	}
	return sum
}
