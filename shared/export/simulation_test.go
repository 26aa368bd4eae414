package export

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestSimulation lets steppers race and die in every order that the generator
// thinks of, then lets one at a time go on undisturbed.
func TestSimulation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := &cloud{t: rt, now: start, bucket: map[string]bool{}}
		request := demo
		c.lines = []Line{{Seq: 1, Time: start, State: Requested, Nonce: "w0", Request: &request}}
		foreign := false
		// In which state a caller may cancel, and whether somebody of the console does.
		cancelIn := rapid.SampledFrom([]State{"", Requested, Queued, Submitting, Exporting, Exported}).Draw(rt, "canceled when")
		console := rapid.IntRange(0, 3).Draw(rt, "canceled in the console") == 0
		rt.Repeat(map[string]func(*rapid.T){
			"a function starts": func(*rapid.T) { c.start() },
			"a function acts": func(rt *rapid.T) {
				if len(c.steps) == 0 {
					rt.Skip("none runs")
				}
				i := rapid.IntRange(0, len(c.steps)-1).Draw(rt, "stepper")
				if s := c.steps[i]; c.now.After(s.dies) || !s.turn(false) {
					c.steps = append(c.steps[:i], c.steps[i+1:]...)
				}
			},
			"a function dies": func(rt *rapid.T) {
				if len(c.steps) == 0 {
					rt.Skip("none runs")
				}
				i := rapid.IntRange(0, len(c.steps)-1).Draw(rt, "stepper")
				c.steps = append(c.steps[:i], c.steps[i+1:]...)
			},
			"time passes": func(rt *rapid.T) {
				c.pass(time.Duration(rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 90)).Draw(rt, "seconds")) * time.Second)
			},
			"somebody exports the image in the console": func(rt *rapid.T) {
				if c.busy() {
					rt.Skip("ECS refuses")
				}
				foreign = true
				c.addTask(false)
			},
			"a caller cancels": func(rt *rapid.T) {
				if c.load().State != cancelIn {
					rt.Skip("not now")
				}
				c.cancel()
			},
			"somebody cancels the task in the console": func(rt *rapid.T) {
				i := slices.IndexFunc(c.tasks, func(t *modelTask) bool { return t.Status == TaskProcessing })
				if !console || i < 0 {
					rt.Skip("nothing to cancel")
				}
				c.end(c.tasks[i], TaskDeleted)
			},
			"": func(rt *rapid.T) { c.check(rt) },
		})
		pause := rapid.SampledFrom([]time.Duration{5 * time.Second, time.Minute}).Draw(rt, "pause")
		for range 4000 {
			s := c.start()
			for range 100 {
				if c.load().State == cancelIn {
					c.cancel()
				}
				if !s.turn(true) {
					break
				}
			}
			c.check(rt)
			if s.x.State.Terminal() && !c.busy() {
				break
			}
			c.pass(pause)
		}
		x := c.load()
		if !x.State.Terminal() {
			rt.Fatalf("no end: state %s after %v", x.State, c.now.Sub(start))
		}
		// What comes late comes now.
		c.pass(10 * time.Minute)
		c.check(rt)
		canceled := slices.ContainsFunc(x.Lines, func(l Line) bool { return l.State == Canceling })
		if canceled != (x.State == Canceled) {
			rt.Fatalf("canceled %v, but the export ended as %s", canceled, x.State)
		}
		for _, task := range c.tasks {
			if task.ours && task.Status == TaskFinished && x.State != Completed && !canceled {
				rt.Fatalf("the task finished, but the export ended as %s: %+v", x.State, x.Failure)
			}
		}
		if x.State == Failed && x.Failure.Code == "ImageIsExporting" && !foreign {
			rt.Fatalf("the export was refused for its own task")
		}
	})
}

// check holds at every moment: one export never has two tasks, and of a canceled one
// nothing is left.
func (c *cloud) check(rt *rapid.T) {
	n := 0
	for _, task := range c.tasks {
		if task.ours {
			n++
		}
	}
	if n > 1 {
		rt.Fatalf("%d tasks for one export", n)
	}
	if x := c.load(); x.State == Canceled {
		for _, task := range c.tasks {
			if task.ours && !task.Status.Ended() {
				rt.Fatalf("the export is canceled, and its task is %s", task.Status)
			}
		}
		if len(c.bucket) > 0 {
			rt.Fatalf("the export is canceled, and the bucket holds %v", c.bucket)
		}
	}
}
