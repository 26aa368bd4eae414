package recordtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
)

// claims wants of all who claim something at once one to win, each time anew.
func claims(t *testing.T, bucket *oss.Bucket) {
	store := record.New(bucket, time.Now)
	digest := record.Digest("recordtest", fmt.Sprint(time.Now().UnixNano()))
	for name, what := range map[string]record.Claimable{
		"an idempotency key": record.IdempotencyKey(digest), "a caller's place": record.CallerPlace(digest, 3),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			last, err := store.Claim(t.Context(), what)
			if err != nil || last != (record.Claimed{}) {
				t.Fatalf("before any claim: %+v, %v", last, err)
			}
			for round := range 4 {
				var mu sync.Mutex
				var won []record.Claimed
				each(12, func(int) {
					c, err := store.SetClaim(t.Context(), what, last, record.Claim{ID: export.NewID(time.Now()), Body: "b", At: time.Now()})
					if err != nil {
						if !errors.Is(err, record.ErrLost) {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					defer mu.Unlock()
					won = append(won, c)
				})
				if last, err = store.Claim(t.Context(), what); err != nil {
					t.Fatal(err)
				}
				if len(won) != 1 || won[0] != last {
					t.Fatalf("round %d: %+v won, the claim is %+v", round, won, last)
				}
			}
		})
	}
	other, err := store.Claim(t.Context(), record.CallerPlace(digest, 4))
	if err != nil || other.ID != "" {
		t.Errorf("another place of the caller: %+v, %v", other, err)
	}
}
