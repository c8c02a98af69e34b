package engine

import (
	"encoding/binary"
	"math"
)

// SampleRow is a record of the input "sampling": how a device is to sample a row. Fields lie in this order, little-endian.
type SampleRow struct {
	Seed  uint64
	Scale float64 // steps of a gap of one: MassSteps/temperature
	Cut   float64 // gap in steps beyond which min-p leaves nothing
	TopP  uint64  // 2^64 times top-p, at least 1; 0: off
	TopK  uint32  // 0: off
	Flags uint32  // SampleDraws and so on
	// Position keys the random number.
	Position     int32
	Alternatives uint32 // log-probabilities beside the chosen token's, at most MaxAlternatives
	// Bias to Banned and Banned to History are the row's entries of the input "edits": pairs of a token and a value, the bits of what is added, and
	// nothing. Tokens are distinct in the former.
	Bias, Banned, History uint32
	// Seen is the row of the input "seen" that counts the tokens that penalties look at. Programs without that input have entries of edits for
	// them, from History to Seen: distinct tokens, and how often each was sampled.
	Seen                            uint32
	Mask                            uint32 // row of the input "masks", each of which has a bit for every token
	Repetition, Frequency, Presence float32
}

// SampleRowBytes is the size of a SampleRow.
const SampleRowBytes = 80

// Flags of a SampleRow. Without any, the row takes the greatest of its logits.
const (
	SampleDraws        = 1 << iota // at random; otherwise the greatest
	SampleRanked                   // from the most likely tokens on, as top-k and top-p want it; otherwise in order of id
	SampleEdited                   // there are edits
	SampleMasked                   // there is a mask
	SampleLogprobs                 // the chosen token's log-probability is wanted
	SampleAlternatives             // and others'
	SampleDrafts                   // of a step: it has drafts
	SampleSeen                     // there are penalties, and a row of counts for them

	// SampleChanged: tokens are not chosen from the raw logits.
	SampleChanged = SampleEdited | SampleMasked | SampleSeen
)

// A count of the input "seen" is how often a token was sampled, times SeenOutput, and SeenPrompt if it is in the prompt: 32 bits for each token.
const (
	SeenPrompt = 1
	SeenOutput = 2
)

// MaxAlternatives bounds SampleRow.Alternatives.
const MaxAlternatives = 128

// Append appends the record as devices read it.
func (r *SampleRow) Append(b []byte) []byte {
	for _, v := range [...]uint64{r.Seed, math.Float64bits(r.Scale), math.Float64bits(r.Cut), r.TopP} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for _, v := range [...]uint32{r.TopK, r.Flags, uint32(r.Position), r.Alternatives, r.Bias, r.Banned, r.History, r.Seen, r.Mask,
		math.Float32bits(r.Repetition), math.Float32bits(r.Frequency), math.Float32bits(r.Presence)} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// Cells of a row of the buffer "found", 64 bits each, in which a device answers. They are zero before a step.
const (
	// FoundBest and FoundEdited are the greatest of the raw logits, and of those that are chosen from: LogitKey above the inverted id, so that
	// the lowest id is the greatest of equals; NoChoice where a logit is not a number or +Inf.
	FoundBest = iota
	FoundEdited
	FoundRawMass // of all tokens under the raw logits, at temperature 1
	FoundMass    // of all tokens under those that are drawn from
	FoundCutMass // of those that min-p leaves
	FoundToken   // drawn
	FoundLogit   // raw, of the token: float bits
	FoundCount   // of alternatives
	FoundAccepted
	FoundNext // the token behind those accepted
	// FoundCells is the length of a row.
	FoundCells = 16
)

// NoChoice is an answer that is none.
const NoChoice = math.MaxUint64
