package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// fetchesByHand is an http.RoundTripper that a test answers by hand: each fetch sends a
// function to it, which gives the answer.
type fetchesByHand chan func(document string)

// RoundTrip is part of http.RoundTripper.
func (a fetchesByHand) RoundTrip(r *http.Request) (*http.Response, error) {
	document := make(chan string, 1)
	select {
	case a <- func(d string) { document <- d }:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	select {
	case d := <-document:
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(d))}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// byHand is a verifier whose fetches a test answers, by the clock of the bubble that
// it is called in.
func byHand(t *testing.T) (*verifier, fetchesByHand) {
	t.Helper()
	v, _ := fetching(t, "https://issuer.example/keys")
	fetches := make(fetchesByHand)
	v.keys.client.Transport = fetches
	v.now, v.keys.now = time.Now, time.Now
	return v, fetches
}

// verified verifies a token beside the test.
func verified(ctx context.Context, v *verifier, m mint) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := v.verify(ctx, m.token(with(map[string]any{"exp": time.Now().Add(time.Hour).Unix()})))
		done <- err
	}()
	return done
}

// over says whether something is done once nothing goes on any more.
func over(done <-chan error) (err error, ok bool) {
	synctest.Wait()
	select {
	case err = <-done:
		return err, true
	default:
		return nil, false
	}
}

// TestSlowKeys lets the issuer take its time. Whose key is at hand does not wait,
// others wait for one fetch together, and nobody longer than its own call lives.
func TestSlowKeys(t *testing.T) {
	t.Parallel()
	old, next, never := newMint(jose.ES256, "old"), newMint(jose.EdDSA, "next"), newMint(jose.ES256, "never")
	synctest.Test(t, func(t *testing.T) {
		v, fetches := byHand(t)
		first, second := verified(t.Context(), v, old), verified(t.Context(), v, old)
		answer := <-fetches
		// Keys are not known yet, nobody has asked before, and it is too early to ask again.
		if _, ok := over(first); ok {
			t.Fatal("without any key a token is judged")
		}
		answer(keysOf(old))
		for _, done := range []<-chan error{first, second} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}

		time.Sleep(keysPause)
		short, quit := context.WithCancel(t.Context())
		gone, waits, unknown := verified(short, v, next), verified(t.Context(), v, next), verified(t.Context(), v, never)
		answer = <-fetches
		if err, ok := over(verified(t.Context(), v, old)); err != nil || !ok {
			t.Errorf("a key at hand: done %v, %v", ok, err)
		}
		quit()
		if err, ok := over(gone); !ok || !errors.Is(err, errNoKeys) {
			t.Errorf("a call that ended: done %v, %v; want errNoKeys", ok, err)
		}
		joins := verified(t.Context(), v, next) // a moment after a fetch began
		if _, ok := over(joins); ok {
			t.Error("who comes while keys are fetched does not wait for them")
		}
		answer(keysOf(old, next))
		var refused refusedToken
		if err := errors.Join(<-waits, <-joins); err != nil {
			t.Errorf("the fetch that another began: %v", err)
		}
		if err := <-unknown; !errors.As(err, &refused) {
			t.Errorf("a key that is not published: %v", err)
		}
	})
}

// TestAgeingKeys lets the issuer not answer at all. What was fetched before is good
// until keysUsable.
func TestAgeingKeys(t *testing.T) {
	t.Parallel()
	old, next := newMint(jose.ES256, "old"), newMint(jose.EdDSA, "next")
	synctest.Test(t, func(t *testing.T) {
		v, fetches := byHand(t)
		begun := verified(t.Context(), v, old)
		(<-fetches)(keysOf(old))
		if err := <-begun; err != nil {
			t.Fatal(err)
		}
		fetched := time.Now()
		for _, test := range []struct {
			age    time.Duration
			key    mint
			want   error
			longer time.Duration // than this nobody waits
		}{
			{keysRenew, old, nil, 0},
			{keysFresh - time.Second, old, nil, 0},
			{keysFresh, old, nil, keysPatience},
			{keysFresh + keysPause, old, nil, keysPatience},
			{keysFresh + 2*keysPause, next, errNoKeys, keysTimeout},
			{keysFresh + 2*keysPause + keysTimeout, old, nil, 0}, // it is not asked again so soon
			{keysFresh + 2*keysPause + keysTimeout, next, errNoKeys, 0},
			{keysUsable - time.Second, old, nil, keysPatience},
			{keysUsable + time.Hour, old, errNoKeys, keysTimeout},
		} {
			time.Sleep(test.age - time.Since(fetched))
			before := time.Now()
			if err := <-verified(t.Context(), v, test.key); !errors.Is(err, test.want) {
				t.Errorf("at %v: %v, want %v", test.age, err, test.want)
			}
			if waited := time.Since(before); waited > test.longer {
				t.Errorf("at %v: waited %v, more than %v", test.age, waited, test.longer)
			}
		}
		// It is back.
		time.Sleep(keysPause)
		back := verified(t.Context(), v, next)
		(<-fetches)(keysOf(next))
		if err := <-back; err != nil {
			t.Error(err)
		}
	})
}

// TestRenewedBesideCalls wants keys to be fetched before anybody has to wait for
// them, and those that are gone to be refused from then on.
func TestRenewedBesideCalls(t *testing.T) {
	t.Parallel()
	old, next := newMint(jose.ES256, "old"), newMint(jose.EdDSA, "next")
	synctest.Test(t, func(t *testing.T) {
		v, fetches := byHand(t)
		begun := verified(t.Context(), v, old)
		(<-fetches)(keysOf(old))
		if err := <-begun; err != nil {
			t.Fatal(err)
		}
		time.Sleep(keysRenew)
		if err := <-verified(t.Context(), v, old); err != nil {
			t.Error(err)
		}
		(<-fetches)(keysOf(next))
		synctest.Wait()
		var refused refusedToken
		if err := <-verified(t.Context(), v, old); !errors.As(err, &refused) {
			t.Errorf("a key that was withdrawn: %v", err)
		}
		if err := <-verified(t.Context(), v, next); err != nil {
			t.Errorf("the key in its place: %v", err)
		}
	})
}

// TestFrozenFetch wants a fetch that an instance was frozen with, and that can only
// fail since, to be made again for whoever waits for it.
func TestFrozenFetch(t *testing.T) {
	t.Parallel()
	old := newMint(jose.ES256, "old")
	synctest.Test(t, func(t *testing.T) {
		v, fetches := byHand(t)
		clock := time.Now()
		v.keys.now = func() time.Time { return clock }
		ended, quit := context.WithCancel(t.Context())
		first := verified(ended, v, old)
		<-fetches
		quit()
		<-first
		clock = clock.Add(time.Hour) // the timer of the fetch has not run out, as of something frozen
		later := verified(t.Context(), v, old)
		(<-fetches)(keysOf(old))
		if err := <-later; err != nil {
			t.Error(err)
		}

		// One that ends well is as old as the instance was asleep.
		clock = clock.Add(keysFresh)
		before := verified(t.Context(), v, old)
		answer := <-fetches
		clock = clock.Add(time.Hour)
		answer(keysOf(old))
		if err := <-before; err != nil {
			t.Error(err)
		}
		after := verified(t.Context(), v, old)
		(<-fetches)(keysOf(newMint(jose.ES256, "next")))
		var refused refusedToken
		if err := <-after; !errors.As(err, &refused) {
			t.Errorf("a key that was withdrawn meanwhile: %v", err)
		}
	})
}
