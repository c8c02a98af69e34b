package prefill

import (
	"context"
	"errors"
	"log/slog"

	"llmc/runtime"
)

// Local is a model whose prompts a client has computed elsewhere.
type Local struct {
	Client *Client
	Engine *runtime.Engine
	Plan   string // digest of the engine's
	Log    *slog.Logger
}

// Fetch has the prompt of a request computed elsewhere; see Client.Fetch. What goes wrong is logged, and the request computes it.
func (l *Local) Fetch(ctx context.Context, r *runtime.Request, prefer string) (release func()) {
	pages, err := l.Client.Fetch(ctx, l.Engine, l.Plan, r, prefer)
	switch {
	case err == nil, errors.Is(err, runtime.ErrBadRequest), errors.Is(err, runtime.ErrTooLong): // which the request is told when it is submitted
	case errors.Is(err, errBusy), errors.Is(err, runtime.ErrPagesTaken), ctx.Err() != nil:
		l.Log.Debug("a prompt is computed here", "err", err)
	default:
		l.Log.Warn("a prompt, or what is left of it, is computed here", "err", err)
	}
	if pages == nil {
		return nil
	}
	return pages.Release
}
