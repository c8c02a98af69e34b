// Package sample chooses tokens from logits, in the order that engine.Sampling documents, and computes log-probabilities. It is
// plain Go on the host, for devices whose logits are there; what it chooses is a function of the logits, the sampling, the
// history and (seed, position) alone: no state, no global random numbers, no dependence on the batch.
//
// Details that the order leaves open:
//
//   - Ties are broken by id: of equal logits the lowest id is the greatest. This holds for greedy choice, for the
//     k-th place of top-k and for the boundary of top-p, so top-k keeps exactly k tokens.
//   - Top-p keeps a token if the probabilities of those before it, most likely first, sum to less than p. Probabilities are those
//     after top-k. At least one token stays.
//   - Min-p keeps a token if its probability is at least p times the greatest.
//   - The draw inverts the cumulative distribution at a uniform number (see philox.go): over the kept tokens from most to least likely
//     if top-k or top-p is on, over all ids in order otherwise.
//   - A temperature below 1e-5 is greedy: dividing by it leaves nothing but the maximum.
//
// Arithmetic on logits (bias, penalties) is float32, as in vLLM and transformers. Probabilities are masses, whole numbers that engine defines
// (engine/mass.go): sums are exact, so that devices that sample by themselves find the same token in whatever way suits them.
package sample
