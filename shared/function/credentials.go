package function

import (
	"context"
	"errors"
	"os"

	"ecs-image-export/shared/rpc"
)

// Credentials is the source of the function role's credentials. Within an
// invocation they are those that came with it, because the environment of a
// long-lived instance holds only what was fresh when the instance started.
func Credentials(ctx context.Context) (rpc.Credentials, error) {
	c := rpc.Credentials{
		ID:     os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"),
		Secret: os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
		Token:  os.Getenv("ALIBABA_CLOUD_SECURITY_TOKEN"),
	}
	if i, ok := ctx.Value(invocationKey{}).(invocation); ok && i.credentials.ID != "" {
		c = i.credentials
	}
	if c.ID == "" {
		return c, errors.New("no credentials: the function has no role")
	}
	return c, nil
}
