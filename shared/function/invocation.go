package function

import (
	"context"

	"github.com/aliyun/fc-runtime-go-sdk/fccontext"

	"ecs-image-export/shared/rpc"
)

// invocation is what came with an event beside the event.
type invocation struct {
	requestID   string
	function    string
	credentials rpc.Credentials
}

type invocationKey struct{}

// withInvocation reads the SDK's context once. The SDK's FromContext writes into
// what it returns, so that goroutines of one invocation must not call it.
func withInvocation(ctx context.Context) context.Context {
	f, ok := fccontext.FromContext(ctx)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, invocationKey{}, invocation{
		requestID: f.RequestID,
		function:  f.Function.Name,
		credentials: rpc.Credentials{
			ID: f.Credentials.AccessKeyId, Secret: f.Credentials.AccessKeySecret, Token: f.Credentials.SecurityToken,
		},
	})
}
