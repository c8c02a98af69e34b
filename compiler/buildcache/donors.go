package buildcache

import (
	"context"
	"path/filepath"
	"strings"

	"llmc/engine"
)

// Weight is a weight of a kept plan, as another build finds it: packed already. Its error is a sum over all of it.
type Weight struct {
	Name     string  `json:"name"`
	Err, Ref float64 // sums of squares of what its codes lose, and of its numbers
}

// Donor is a weight of a plan that is open.
type Donor struct {
	Weight
	Plan *engine.Plan
}

// Donors are weights of kept plans, by keys. They stay until Close.
type Donors struct {
	held    []*Plan
	opened  []*engine.Plan
	weights map[string]Donor
}

// maxDonors bounds how many plans are looked into: those used last.
const maxDonors = 4

// Donors opens the plans that were built from a source: those whose keys begin as PlanKey has it.
func (c *Cache) Donors(ctx context.Context, source string, threads int) *Donors {
	d := &Donors{weights: map[string]Donor{}}
	all, err := c.builds.Entries()
	if err != nil {
		return d
	}
	for i := len(all) - 1; i >= 0 && len(d.held) < maxDonors; i-- {
		key := filepath.Base(all[i].Dir)
		if !strings.HasPrefix(key, sourcePrefix(source)) {
			continue
		}
		p := c.Find(key)
		if p == nil {
			continue
		}
		d.held = append(d.held, p)
		if p.Intact(ctx, threads) {
			d.add(p)
		}
	}
	return d
}

func (d *Donors) add(p *Plan) {
	plan, err := engine.Open(p.Path())
	if err != nil {
		return
	}
	d.opened = append(d.opened, plan)
	for key, w := range p.Weights {
		if _, there := d.weights[key]; !there {
			d.weights[key] = Donor{w, plan}
		}
	}
}

// Find returns a weight by its key.
func (d *Donors) Find(key string) (Donor, bool) {
	if d == nil {
		return Donor{}, false
	}
	w, there := d.weights[key]
	return w, there
}

// Close lets the plans go.
func (d *Donors) Close() {
	if d == nil {
		return
	}
	for _, p := range d.opened {
		_ = p.Close()
	}
	for _, p := range d.held {
		_ = p.Close()
	}
}

// sourcePrefix begins the keys of plans that were built from a source, which itself is a key.
func sourcePrefix(source string) string { return source[:16] + "-" }

// PlanKey names a plan by its source and what was asked for.
func PlanKey(source string, options any) (string, error) {
	key, err := Key([]any{source, options})
	return sourcePrefix(source) + key, err
}
