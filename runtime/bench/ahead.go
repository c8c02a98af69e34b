package bench

import (
	"context"
	"errors"

	"llmc/engine"
)

// decodeAhead runs all decode steps, each started while the one before runs, as the server does: its tokens are those that the rows of that one sample.
func (r *run) decodeAhead(ctx context.Context, model engine.Starter, last []int32) error {
	var steps [2]engine.Step
	outs := [2][]engine.Sampled{make([]engine.Sampled, r.batch), make([]engine.Sampled, r.batch)}
	rows := make([]int32, r.batch) // what comes behind the first step
	for b := range rows {
		rows[b] = engine.FromRow(b)
	}
	flying := 0
	for i := range r.c.Gen {
		err := ctx.Err()
		if err == nil {
			r.step = &steps[i%2]
			r.fill(last, i)
			last = rows
			if err = model.Start(r.step, outs[i%2]); err == nil {
				flying++
			}
		}
		if flying == len(steps) || err != nil && flying > 0 {
			flying--
			err = errors.Join(err, model.Wait())
		}
		if err != nil {
			return err
		}
	}
	if flying > 0 {
		return model.Wait()
	}
	return nil
}
