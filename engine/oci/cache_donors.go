package oci

import (
	"os"
	"path/filepath"
)

// donors are the layers of all plans that are here whole.
func (c *Cache) donors() donors {
	all, err := c.dir.Entries()
	if err != nil {
		return nil
	}
	found := donors{}
	for _, h := range all {
		plan := filepath.Join(h.Dir, "plan")
		if _, err := os.Stat(plan); err != nil {
			continue
		}
		data, err := readBounded(filepath.Join(h.Dir, "manifest.json"))
		if err != nil {
			continue
		}
		r, err := decode(digestOf("", data), data)
		if err != nil || r.plan == nil {
			continue
		}
		at := int64(0)
		for _, l := range r.plan.Layers {
			found[l.Digest] = donor{plan, at}
			at += l.Size
		}
	}
	return found
}
