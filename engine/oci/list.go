package oci

import (
	"context"
	"errors"
	"slices"
	"strconv"
)

// Listed is a tag of a repository.
type Listed struct {
	Tag     string   `json:"tag"`
	Digest  string   `json:"digest,omitempty"`
	Plan    string   `json:"plan,omitempty"` // the plan's own digest
	Bytes   int64    `json:"bytes,omitempty"`
	Targets []string `json:"targets,omitempty"`
	Other   string   `json:"other,omitempty"` // why it is no plan

	Signatures   int      `json:"signatures,omitempty"`   // that there are, whoever has made them
	Attestations []string `json:"attestations,omitempty"` // kinds, as Attestation has them
}

// List returns the tags of a repository, or the one that is named, with what they are.
func (c *Client) List(ctx context.Context, repo Ref) ([]Listed, error) {
	s, err := c.open(ctx, repo, false)
	if err != nil {
		return nil, err
	}
	tags := []string{repo.wanted()}
	if tags[0] == "" {
		if tags, err = s.tags(ctx); err != nil {
			return nil, err
		}
		tags = slices.DeleteFunc(tags, companionTag.MatchString)
	}
	rows := make([]Listed, len(tags))
	err = each(ctx, len(tags), parallel, func(ctx context.Context, i int) error {
		row, err := c.listed(ctx, s, tags[i])
		rows[i] = row
		return err
	})
	return rows, repo.about(err)
}

// listed says what a tag is. A tag of something else is no error.
func (c *Client) listed(ctx context.Context, s store, tag string) (Listed, error) {
	row := Listed{Tag: tag}
	r, err := resolve(ctx, s, tag)
	if errors.Is(err, ErrNoPlan) || errors.Is(err, ErrNotFound) {
		row.Other = err.Error()
		return row, nil
	}
	if err != nil {
		return row, err
	}
	row.Digest = r.desc.Digest.String()
	var notes map[string]string
	if r.index != nil {
		notes = r.index.Manifests[0].Annotations
	} else {
		notes = r.plan.Annotations
	}
	row.Plan, row.Targets = clean(notes[planDigestKey]), targetsIn(notes)
	row.Bytes, _ = strconv.ParseInt(notes[planSizeKey], 10, 64)
	all, err := c.signatures(ctx, s, r.desc.Digest)
	if err != nil {
		return row, err
	}
	row.Signatures = len(all)
	row.Attestations, err = attested(ctx, s, r.desc.Digest)
	return row, err
}
