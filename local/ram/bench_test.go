package ram_test

import (
	"context"
	"testing"
	"time"

	"ecs-image-export/local/identity"
	"ecs-image-export/local/ram"
)

// Every service asks for the caller of every request.
func BenchmarkIdentify(b *testing.B) {
	s, err := ram.Open(ram.Config{Dir: b.TempDir(), AccountID: account, Region: "cn-hangzhou", Root: root})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	if err := s.Seed("r", trustECS, "AliyunECSImageExportRolePolicy"); err != nil {
		b.Fatal(err)
	}
	var taken identity.Credentials
	b.Run("assume a role", func(b *testing.B) {
		for b.Loop() {
			if taken, err = s.AssumeAs(ctx, "ecs.aliyuncs.com", "r", "session", time.Hour); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("identify and allow", func(b *testing.B) {
		for b.Loop() {
			id, err := s.Identify(taken.AccessKeyID, taken.SecurityToken)
			if err != nil || !id.Allows("oss:PutObject", "acs:oss:*:1:bucket/key") {
				b.Fatal(err)
			}
		}
	})
}
