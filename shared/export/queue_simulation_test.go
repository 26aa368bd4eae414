package export

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQueueSimulation lets exports come, wait and race for quotas in every order
// that the generator thinks of, with functions dying anywhere, and wants order of
// arrival, one task each, and an end for all.
func TestQueueSimulation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a := &account{t: rt, now: start, policy: policy, slots: map[string]time.Time{}, quota: rapid.IntRange(1, 2).Draw(rt, "quota")}
		a.policy.Tasks = rapid.IntRange(0, 2).Draw(rt, "tasks at once")
		images := []string{"m-1", "m-2", "m-3"}
		for range rapid.IntRange(1, 3).Draw(rt, "exports at first") {
			a.request(rapid.SampledFrom(images).Draw(rt, "image"))
			a.pass(time.Second)
		}
		pick := func(rt *rapid.T) (i int) {
			if len(a.steps) == 0 {
				a.visit(rapid.SampledFrom(a.exports).Draw(rt, "export"))
			}
			return rapid.IntRange(0, len(a.steps)-1).Draw(rt, "stepper")
		}
		act := func(i int) {
			for range rapid.IntRange(1, 20).Draw(rt, "turns") {
				if v := a.steps[i]; a.now.After(v.dies) || !v.turn() {
					a.steps = slices.Delete(a.steps, i, i+1)
					return
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"somebody asks for an export": func(rt *rapid.T) {
				if len(a.exports) == 6 {
					rt.Skip("enough")
				}
				a.request(rapid.SampledFrom(images).Draw(rt, "image"))
				a.visit(a.exports[len(a.exports)-1])
			},
			"a function starts": func(rt *rapid.T) {
				a.visit(rapid.SampledFrom(a.exports).Draw(rt, "export"))
			},
			"a function acts":       func(rt *rapid.T) { act(pick(rt)) },
			"another function acts": func(rt *rapid.T) { act(pick(rt)) },
			"a function dies":       func(rt *rapid.T) { i := pick(rt); a.steps = slices.Delete(a.steps, i, i+1) },
			"time passes": func(rt *rapid.T) {
				a.pass(time.Duration(rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 900)).Draw(rt, "seconds")) * time.Second)
			},
			"somebody exports in the console": func(rt *rapid.T) {
				image := rapid.SampledFrom(images).Draw(rt, "image")
				if a.running(image) > 0 || a.running("") >= a.quota {
					rt.Skip("ECS refuses")
				}
				a.start(image, "")
			},
			"the week's quota is used up": func(rt *rapid.T) {
				a.weekEnd = a.now.Add(time.Duration(rapid.IntRange(1, 180).Draw(rt, "minutes")) * time.Minute)
			},
			"a poll": func(*rapid.T) { a.poll() },
			"":       func(*rapid.T) { a.limit() },
		})
		// Now every minute a poll, and every nudge arrives; for some time still
		// functions die on the way.
		rough := a.now.Add(time.Duration(rapid.IntRange(0, 120).Draw(rt, "rough minutes")) * time.Minute)
		a.steps = nil
		a.pass(time.Minute)
		end := a.now.Add(48 * time.Hour)
		for open := true; open; a.pass(time.Minute) {
			open, a.calm = false, a.now.After(rough)
			a.poll()
			for again := true; again; {
				again = false
				for _, e := range a.exports {
					if x := e.load(rt); x.State.Terminal() || a.now.Before(e.next) {
						open = open || !x.State.Terminal()
						continue
					}
					open, again, e.next = true, true, a.now.Add(20*time.Minute)
					for v := a.visit(e); v.turn(); {
					}
					a.limit()
				}
			}
			if a.now.After(end) {
				for _, e := range a.exports {
					rt.Logf("%s: %s", e.id, e.load(rt).State)
				}
				rt.Fatalf("no end after 48 hours; the queue is %+v", a.queue)
			}
		}
		a.poll()
		for _, e := range a.exports {
			tried := slices.ContainsFunc(a.tasks, func(t *accountTask) bool { return t.prefix == e.request.OSSPrefix })
			if x := e.load(rt); x.State != Completed && (tried || x.Failure.Code != CodeUnconfirmed) {
				rt.Fatalf("export %s ended as %s: %+v", e.id, x.State, x.Failure)
			}
		}
		for i := 1; i < len(a.weekly); i++ {
			if apart := a.weekly[i].Sub(a.weekly[i-1]); apart < a.policy.QueueWait-a.policy.ClockSkew {
				rt.Fatalf("the weekly quota was asked again after %v", apart)
			}
		}
	})
}
