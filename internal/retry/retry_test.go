package retry

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestBackoffDoublesUpToTheLongest(t *testing.T) {
	for failed, least := range map[int]time.Duration{1: 100, 2: 200, 3: 400, 4: 500, 9: 500} {
		for range 100 {
			if got := Backoff(failed, 100, 500); got < least || got > least+least/4 {
				t.Errorf("%d failures: %d", failed, got)
			}
		}
	}
}

func TestAskedPause(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for after, want := range map[string]time.Duration{
		"": -1, "7": 7 * time.Second, "0": 0, "-1": -1, "soon": -1, "99999999999": -1,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		if got := AskedPause(&http.Response{Header: http.Header{"Retry-After": {after}}}, now); got != want {
			t.Errorf("%q: %v, want %v", after, got, want)
		}
	}
}

func TestSleepTellsWhyItEnded(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := Sleep(ctx, time.Hour); err != why {
		t.Error(err)
	}
	if err := Sleep(t.Context(), 1); err != nil {
		t.Error(err)
	}
}
