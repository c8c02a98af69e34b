package gpu

import (
	"slices"

	"llmc/engine"
)

// Buckets are the sizes of steps for which a driver may record the launches once and run them again: Padded brings every step to one of them.
func (m *Model) Buckets() []int { return m.buckets }

// PadSteps makes every step as long as its bucket, so that all launches of a bucket have the same grids and sizes.
func (m *Model) PadSteps() { m.padTo = m.limits.MaxStepTokens }

// pads tells whether a step is made as long as its bucket. One that is looked at while it runs is not.
func (m *Model) pads(step *engine.Step) bool {
	return step.T() > 0 && step.T() <= m.padTo && m.visit == nil
}

// Padded returns the step in the form of its bucket, and which one that is: tokens fill it, and sequences and sampled rows are as many as steps of it can
// have. The result is good until the next call.
func (m *Model) Padded(step *engine.Step) (padded *engine.Step, bucket int) {
	// The limits have been checked: the last bucket is the largest step, and holds as many rows.
	i, _ := slices.BinarySearch(m.buckets, max(step.T(), len(step.Rows)))
	bucket = m.buckets[i]
	m.padded.Copy(step)
	m.padded.Pad(bucket, min(bucket, m.limits.MaxSequences), min(bucket, m.limits.MaxRows))
	return &m.padded, bucket
}
