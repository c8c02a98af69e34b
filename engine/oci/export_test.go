package oci

import (
	"context"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// Quick makes a client for tests: small layers, short pauses, no credentials but those given.
func Quick(c *Client, credential auth.CredentialFunc) *Client {
	if c.Cut == (Cut{}) {
		c.Cut = Cut{Least: 32 << 10, Most: 128 << 10, Section: 4 << 10}
	}
	if credential == nil {
		credential = func(ctx context.Context, _ string) (auth.Credential, error) { return auth.EmptyCredential, nil }
	}
	c.credential = credential
	c.schedule = &schedule{tries: 12, first: time.Millisecond, longest: 4 * time.Millisecond, patience: 2 * time.Second, stall: 300 * time.Millisecond, piece: 40 << 10}
	return c
}

// QuickLogin is Quick with the credentials of Docker's configuration.
func QuickLogin(c *Client) *Client {
	Quick(c, nil)
	c.credential, c.schedule.piece, c.schedule.stall = nil, 1<<20, 10*time.Second
	return c
}
