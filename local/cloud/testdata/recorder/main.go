// Command recorder is a function that keeps the event it is invoked with, in its
// working folder.
package main

import (
	"context"
	"os"

	"github.com/aliyun/fc-runtime-go-sdk/fc"
)

func main() {
	fc.Start(func(_ context.Context, event []byte) (map[string]any, error) {
		if err := os.WriteFile("event.new", event, 0o600); err != nil {
			return nil, err
		}
		return map[string]any{"statusCode": 200, "headers": map[string]string{}, "isBase64Encoded": false, "body": "recorded"}, os.Rename("event.new", "event.json")
	})
}
