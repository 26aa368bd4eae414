package fc

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ecs-image-export/local/identity"
)

// fcService is who takes the functions' roles; their trust policies name it.
const fcService = "fc.aliyuncs.com"

// credentialLife is how long a function's credentials are good for, the longest
// that a role allows unless it says otherwise.
const credentialLife = time.Hour

// roleCredentials hands out the credentials of a function's role, the same ones
// until they near their end.
type roleCredentials struct {
	roles   identity.Roles
	role    string
	session string
	timeout time.Duration // of the function: its credentials must outlive it
	now     func() time.Time

	mu     sync.Mutex
	latest identity.Credentials
}

// current returns credentials that stay good for one invocation, none for a
// function without a role.
func (c *roleCredentials) current(ctx context.Context) (identity.Credentials, error) {
	if c.role == "" {
		return identity.Credentials{}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.latest.Expiration.Sub(c.now())
	if c.latest.AccessKeyID != "" && left > min(c.timeout+5*time.Minute, credentialLife/2) {
		return c.latest, nil
	}
	latest, err := c.roles.AssumeAs(ctx, fcService, c.role, c.session, credentialLife)
	if err != nil {
		return identity.Credentials{}, fmt.Errorf("take role %s: %w", c.role, err)
	}
	c.latest = latest
	return latest, nil
}
