package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// TestIdempotency is what a caller sees of a key.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: 8})
	api, other := b.instance(t), b.instance(t)
	send := func(i *instance, key, body string, headers ...string) answer {
		t.Helper()
		return i.do(t, "POST", "/exports", body, append([]string{"Idempotency-Key", key}, headers...)...)
	}
	made := func(a answer) string {
		t.Helper()
		var sum ExportSummary
		a.into(t, &sum)
		if a.status != http.StatusAccepted || a.header["Location"] != "/exports/"+sum.ID || sum.TaskID == nil || sum.RequestedBy != "ci@example.com" {
			t.Fatalf("%d %v %s", a.status, a.header, a.body)
		}
		return sum.ID
	}
	order1 := order("imageId", b.images[0], "prefix", "One")
	first := made(send(api, `"k 1"`, order1))
	for name, a := range map[string]answer{
		"again":                      send(api, `"k 1"`, order1),
		"from another instance":      send(other, `"k 1"`, order1),
		"with spaces in the body":    send(api, `"k 1"`, " "+strings.Replace(order1, ",", " ,\n", 1)),
		"with spaces around the key": send(api, ` "k 1" `, order1),
	} {
		if got := made(a); got != first {
			t.Errorf("%s: export %s, want %s", name, got, first)
		}
	}
	// Its image is being exported, which would be a reason to queue or refuse it:
	// an order that was accepted is not judged again.
	if n := b.count("ecs ExportImage"); n != 1 {
		t.Errorf("%d calls of ExportImage", n)
	}

	p := send(api, `"k 1"`, order("imageId", b.images[0], "prefix", "Two")).problem(t)
	if p.Status != 422 || p.Code != codeKeyReused || len(p.Errors) != 1 || p.Errors[0].Location != "header.Idempotency-Key" {
		t.Errorf("another order: %+v", p)
	}
	if p := send(api, `"k 1"`, order("imageId", "m-X")).problem(t); p.Status != 422 {
		t.Errorf("an order that is none: %+v", p)
	}

	// Keys are the caller's own, and forms of one key are one.
	elsewhere := "Bearer " + issuer.token(with(map[string]any{"sub": "somebody else"}))
	a := send(api, "k-2", order("imageId", b.images[1]))
	second := made(a)
	if got := made(send(api, `"k-2"`, order("imageId", b.images[1]))); got != second {
		t.Errorf("the quoted form of a key: %s, want %s", got, second)
	}
	var theirs ExportSummary
	send(api, "k-2", order("imageId", b.images[2]), "Authorization", elsewhere).into(t, &theirs)
	if theirs.ID == second || theirs.RequestedBy != "somebody else" {
		t.Errorf("the same key of another caller: %+v", theirs)
	}
	// Without a key an order is a new one.
	if a := api.do(t, "POST", "/exports", order1); a.status == http.StatusAccepted {
		var sum ExportSummary
		if a.into(t, &sum); sum.ID == first {
			t.Error("an order without a key found the export of one")
		}
	}
	// Nothing of the key is on record but its digest.
	body, _, err := b.tracker.OSS.Bucket(b.environment["RECORDS_BUCKET"]).Get(t.Context(), "exports/"+first)
	if err != nil || strings.Contains(string(body), "k 1") || !strings.Contains(string(body), `"claim":"`+record.Digest(testIssuer, "ci@example.com", "k 1")) {
		t.Errorf("recorded: %s, %v", body, err)
	}
}

// TestBadKeys is the table of keys that are refused, with nothing recorded.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	api := lone(t)
	for name, key := range map[string]string{
		"blank": "  ", "empty": `""`, "open": `"a`, "a quote": `a"b`, "two": `"a", "b"`, "two bare": "a, b", "parameters": `"a";q=1`,
		"too long": strings.Repeat("a", maxKey+1), "too long in quotes": `"` + strings.Repeat("a", maxKey+1) + `"`,
		"not ASCII": "clé", "a control character": "\"a\x01b\"", "an unknown escape": `"a\nb"`, "bytes": ":YQ==:x\x00",
	} {
		p := api.do(t, "POST", "/exports", order("imageId", "m-bp1"), "Idempotency-Key", key).problem(t)
		if p.Status != 400 || p.Code != codeMalformed || len(p.Errors) != 1 || p.Errors[0].Location != "header.Idempotency-Key" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	event := eventOf(t, "POST", "/exports", order("imageId", "m-bp1"))
	event.Headers["authorization"], event.Headers["idempotency-key"] = "Bearer "+token, ""
	if p := api.send(t, event).problem(t); p.Status != 400 {
		t.Errorf("a header without a value: %+v", p)
	}
}

// FuzzIdempotencyKey wants a key to be refused, or to survive being written in the
// form of the draft and read again.
func FuzzIdempotencyKey(f *testing.F) {
	for _, s := range []string{`"8e03978e-40d5-43dd-bc93-6894a57f9324"`, "abc", `"a\"b\\c"`, `"`, `"\"`, `"a","b"`, `"a";b`, "\t\"a\" ", "a,b", strings.Repeat("x", 300), "\"\x7f\"", "ü"} {
		f.Add(s)
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, value string) {
		key, err := parseIdempotencyKey(value)
		if err != nil {
			return
		}
		if key == "" || len(key) > maxKey || strings.IndexFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
			t.Errorf("%q is key %q", value, key)
		}
		if again, err := parseIdempotencyKey(`"` + quote.Replace(key) + `"`); err != nil || again != key {
			t.Errorf("%q is key %q, and that is %q, %v", value, key, again, err)
		}
	})
}

// TestIdempotencyAtOnce wants one export of all that are sent at once with a key,
// however few its caller may have open, and one place of the caller's taken.
func TestIdempotencyAtOnce(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 1, 2, 5} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			t.Parallel()
			idempotentAtOnce(t, limit)
		})
	}
}

func idempotentAtOnce(t *testing.T, limit int) {
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	b.config.CallerOpenExports = limit
	var mu sync.Mutex
	ids, refused := map[string]int{}, map[string]int{}
	var group sync.WaitGroup
	for n := range 12 {
		api := b.instance(t)
		prefix := fmt.Sprint("P", n%4/3) // three of four are alike
		group.Go(func() {
			a := api.do(t, "POST", "/exports", order("imageId", b.images[0], "prefix", prefix), "Idempotency-Key", "at-once")
			mu.Lock()
			defer mu.Unlock()
			switch a.status {
			case http.StatusAccepted:
				ids[strings.TrimPrefix(a.header["Location"], "/exports/")]++
			case http.StatusUnprocessableEntity:
				refused[a.problem(t).Code]++
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	group.Wait()
	if len(ids) != 1 || refused[codeKeyReused] == 0 || len(refused) != 1 {
		t.Errorf("exports %v, refused %v", ids, refused)
	}
	if n := b.count("ecs ExportImage"); n != 1 {
		t.Errorf("%d calls of ExportImage", n)
	}
	if entries, _, err := b.tracker.Records.List(t.Context(), record.All, "", 10); err != nil || len(entries) != 1 {
		t.Errorf("%d logs, %v", len(entries), err)
	}
	if places := b.places(t, limit); len(places) != min(limit, 1) {
		t.Errorf("the caller's places are of %v", places)
	}
}

// TestIdempotencyEnds wants a key to make a new export once it has expired, or its
// export was abandoned, and only then: also where the records still hold it.
func TestIdempotencyEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	h, clock := b.withClock(t)
	api := &instance{b, h}
	body := order("imageId", b.images[0])
	id := func() string {
		t.Helper()
		a := api.do(t, "POST", "/exports", body, "Idempotency-Key", "k")
		if a.status != http.StatusAccepted {
			t.Fatalf("%d %s", a.status, a.body)
		}
		id := strings.TrimPrefix(a.header["Location"], "/exports/")
		b.follow(t, id, func(x export.Export) bool { return x.State.Terminal() })
		return id
	}
	first := id()
	clock.add(b.config.IdempotencyExpiry - time.Second)
	if got := id(); got != first {
		t.Errorf("before it expires: %s, want %s", got, first)
	}
	clock.add(time.Second)
	second := id()
	if second == first {
		t.Error("the key has not expired")
	}
	clock.add(b.config.IdempotencyExpiry / 2)
	if got := id(); got != second {
		t.Errorf("after it expired: %s, want %s", got, second)
	}

	// A claim whose maker died before the first line, and whose entry the sweep has
	// closed since.
	digest := record.Digest(testIssuer, "ci@example.com", "dead")
	dead := record.Claim{ID: export.NewID(time.Now()), Body: claimBody(t, body), At: clock.now()}
	if _, err := b.tracker.Records.SetClaim(t.Context(), record.IdempotencyKey(digest), record.Claimed{}, dead); err != nil {
		t.Fatal(err)
	}
	if err := b.tracker.Records.Open(t.Context(), dead.ID, record.Hint{ImageID: b.images[0]}); err != nil {
		t.Fatal(err)
	}
	if err := b.tracker.Abandon(t.Context(), dead.ID); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 2 {
		a := api.do(t, "POST", "/exports", body, "Idempotency-Key", "dead")
		if a.status != http.StatusAccepted {
			t.Fatalf("%d %s", a.status, a.body)
		}
		ids = append(ids, strings.TrimPrefix(a.header["Location"], "/exports/"))
	}
	if ids[0] != ids[1] || ids[0] == dead.ID {
		t.Errorf("after %s was abandoned: %v", dead.ID, ids)
	}
}

// claimBody is the digest of an order as its claim has it.
func claimBody(t *testing.T, body string) string {
	t.Helper()
	id := strings.Split(body, `"`)[3]
	return record.Digest(`{"imageId":"` + id + `"}`)
}

// clock is a clock that a test moves.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// withClock is an instance whose records and keys go by a clock of the test. Its
// tokens don't.
func (b *bench) withClock(t *testing.T) (function.Handler[events.HTTPRequest, events.HTTPResponse], *clock) {
	t.Helper()
	c := &clock{}
	s, err := newServer(b.config, b.role)
	if err != nil {
		t.Fatal(err)
	}
	s.tracker.Now, s.rate.now = c.now, c.now
	return adapt(s.handler()), c
}

// TestIdempotencyFaults breaks each request that an order with a key makes, in each
// way, and sends it again until it is answered: there is one export and one task,
// and an order that was answered is never made anew.
func TestIdempotencyFaults(t *testing.T) {
	t.Parallel()
	const requests = 45 // an order has fewer; the test says so if not
	faults := append([]trackertest.Fault{{}}, trackertest.Faults(requests)...)
	b := newBench(t, len(faults), cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: len(faults)})
	b.config.CallerOpenExports = maxCallerOpenExports
	b.config.SubmitTimeout, b.config.ClockSkew, b.config.VanishedAfter = 400*time.Millisecond, 100*time.Millisecond, 500*time.Millisecond
	var err error
	if b.tracker, err = tracker.New(b.config.Config, b.administrator); err != nil {
		t.Fatal(err)
	}
	for n, fault := range faults {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			faultyOrder(t, b, &trackertest.Wire{Fault: fault}, b.images[n], n == 0, requests)
		})
	}
}

func faultyOrder(t *testing.T, b *bench, w *trackertest.Wire, imageID string, clean bool, most int) {
	config := b.config
	config.OSSEndpoint = w.Serve(t, config.OSSEndpoint)
	config.MNSEndpoint = w.Serve(t, config.MNSEndpoint)
	config.ECSEndpoint = w.Serve(t, config.ECSEndpoint)
	h, err := build(config, b.role)
	if err != nil {
		t.Fatal(err)
	}
	api := &instance{b, h}
	// Every image has a caller of its own, whose one place is not taken twice.
	who := "Bearer " + issuer.token(with(map[string]any{"sub": imageID}))
	var id string
	for deadline, answered := time.Now().Add(time.Minute), 0; answered < 2; {
		if time.Now().After(deadline) {
			t.Fatal("no answer")
		}
		ctx, kill := context.WithCancel(t.Context())
		w.Revive(kill)
		event := eventOf(t, "POST", "/exports", order("imageId", imageID))
		event.Headers["Authorization"], event.Headers["Idempotency-Key"] = who, "fault"
		out, err := api.handler(ctx, event)
		dead := ctx.Err() != nil
		kill()
		switch {
		case err != nil:
			t.Fatal(err)
		case dead: // nobody gets what it answers
		case out.StatusCode == http.StatusAccepted:
			got := strings.TrimPrefix(out.Headers["Location"], "/exports/")
			if id != "" && got != id {
				t.Errorf("answered with %s, and before with %s", got, id)
			}
			id = got
			answered++
		case out.StatusCode != http.StatusServiceUnavailable:
			t.Fatalf("%d %s", out.StatusCode, out.Body)
		}
	}
	if clean && w.Requests() > most {
		t.Errorf("two orders take %d requests: raise the constant", w.Requests())
	}
	// Whoever comes next takes it to the point that ECS has it.
	x := b.follow(t, id, func(x export.Export) bool { return x.State == export.Exporting })
	if x.Request.ImageID != imageID || x.Request.RequestedBy != imageID {
		t.Errorf("export %+v", x.Request)
	}
	tasks, err := b.tracker.ECS.TasksByImage(t.Context(), imageID)
	if err != nil || len(tasks) != 1 {
		t.Errorf("%d tasks, %v", len(tasks), err)
	}
	entries, _, err := b.tracker.Records.List(t.Context(), record.OfImage(imageID), "", 10)
	if err != nil || len(entries) != 1 || entries[0].ID != id {
		t.Errorf("exports of the image: %v, %v, want %s", entries, err, id)
	}
	if _, open, err := b.tracker.Records.Hint(t.Context(), id); !open || err != nil {
		t.Errorf("open %v, %v", open, err)
	}
	place, err := b.tracker.Records.Claim(t.Context(), record.CallerPlace(record.Digest(testIssuer, imageID), 1))
	if err != nil || place.ID != id {
		t.Errorf("the caller's place is of %q, %v", place.ID, err)
	}
	second, err := b.tracker.Records.Claim(t.Context(), record.CallerPlace(record.Digest(testIssuer, imageID), 2))
	if err != nil || second.ID != "" {
		t.Errorf("the caller's second place is of %q, %v", second.ID, err)
	}
}

// TestTakenID wants an id that is another export's to be told from one that was
// begun for the same claim.
func TestTakenID(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	tr := c.Tracker(t, c.Config())
	r := c.Request(t, c.Images[0])
	begin := func(id, claim string) (*tracker.Followed, error) {
		r := r
		r.Claim = claim
		return tr.BeginAs(t.Context(), id, "", r)
	}
	id := export.NewID(time.Now())
	if _, err := begin(id, ""); err != nil {
		t.Fatal(err)
	}
	for _, claim := range []string{"", "mine"} {
		if _, err := begin(id, claim); !errors.Is(err, record.ErrExists) {
			t.Errorf("claim %q: %v, want ErrExists", claim, err)
		}
	}
	id = export.NewID(time.Now())
	for range 2 {
		if f, err := begin(id, "mine"); err != nil || f.ID != id || f.Seq() != 1 {
			t.Errorf("the same claim: %+v, %v", f, err)
		}
	}
}
