// Command hello is the smallest function on the runtime SDK, for comparison.
package main

import (
	"context"

	"github.com/aliyun/fc-runtime-go-sdk/fc"
)

func main() {
	fc.Start(func(context.Context, []byte) (string, error) { return "hello", nil })
}
