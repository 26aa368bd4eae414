package rpc

import (
	"context"
	"time"
)

// Credentials are an access key, with a token and an end where it is temporary.
type Credentials struct {
	ID, Secret, Token string
	Expires           time.Time // zero: does not expire
}

// Source returns the credentials to sign the next call with. Clients ask it
// before every call, so it should keep what it has fetched.
type Source func(context.Context) (Credentials, error)
