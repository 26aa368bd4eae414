package fc

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// maxLogLine is how much of a line the service keeps, in bytes.
	maxLogLine = 32 << 10
	// maxLogFile is when a log is moved to <name>.1 and begun anew, in bytes.
	maxLogFile = 16 << 20
	// tailSize is how much of a request's log X-Fc-Log-Type: Tail gives, in bytes.
	tailSize = 4 << 10
)

// functionLog is one function's log: what its instances print, each line with
// the time and the instance.
type functionLog struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	file *os.File
	size int64
}

func newFunctionLog(path string, now func() time.Time) *functionLog {
	return &functionLog{path: path, now: now}
}

func (l *functionLog) line(instance, stream string, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return // a log that can't be written must not stop the function
		}
		info, err := f.Stat()
		if err == nil {
			l.size = info.Size()
		}
		l.file = f
	}
	n, _ := fmt.Fprintf(l.file, "%s %s %s %s\n", l.now().UTC().Format("2006-01-02T15:04:05.000Z"), instance, stream, text)
	if l.size += int64(n); l.size >= maxLogFile {
		_ = l.file.Close()
		l.file = nil
		_ = os.Rename(l.path, l.path+".1")
	}
}

func (l *functionLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// copyTo writes the log to w.
func (l *functionLog) copyTo(w io.Writer) error {
	f, err := os.Open(l.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// lineWriter cuts a stream into lines for a log. The end of a line that is too
// long is left out.
type lineWriter struct {
	write func(line []byte)
	rest  []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		part, after, whole := bytes.Cut(p, []byte("\n"))
		w.rest = append(w.rest, part[:min(len(part), maxLogLine-len(w.rest))]...)
		if !whole {
			return n, nil
		}
		w.write(bytes.TrimSuffix(w.rest, []byte("\r")))
		w.rest, p = w.rest[:0], after
	}
}

// flush writes a last line that has no end.
func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.write(w.rest)
		w.rest = nil
	}
}

// tail gathers what an instance prints while it handles one request.
type tail struct {
	mu   sync.Mutex
	text []byte
	end  string        // the runtime's last line of the request starts with this
	done chan struct{} // closed when that line came
	over bool
}

func newTail(requestID string) *tail {
	return &tail{end: "FC Invoke End RequestId: " + requestID, done: make(chan struct{})}
}

func (t *tail) line(text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(append(t.text, text...), '\n')
	if extra := len(t.text) - tailSize; extra > 0 {
		t.text = t.text[extra:]
	}
	if !t.over && strings.HasPrefix(string(text), t.end) {
		t.over = true
		close(t.done)
	}
}

// wait returns the text once the request's last line is there, or soon: a
// process that was killed prints none.
func (t *tail) wait() []byte {
	timer := time.NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.text)
}
