package syaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong, and where.
type Problem struct {
	File         string
	Line, Column int
	Message      string
}

func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// Problems is every problem of a file in the order of its lines.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

func (r *reader) report(at *node, format string, args ...any) {
	r.reportAt(at.line, at.column, format, args...)
}

func (r *reader) reportAt(line, column int, format string, args ...any) {
	p := Problem{File: r.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
	// An alias or a shared value would tell the same thing twice.
	if !slices.Contains(r.problems, p) {
		r.problems = append(r.problems, p)
	}
}

// nearest returns ` (did you mean "x"?)` for the candidate that is closest to
// word, or nothing where none is close.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", len(word)/3+2
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if len(word) > 2 && strings.HasPrefix(c, word) {
			d = 1
		}
		if d < bestDistance || d == bestDistance && best != "" && c < best {
			best, bestDistance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance is the number of single letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, above, row[j])
			}
			diagonal, row[j+1] = above, d
		}
	}
	return row[len(b)]
}
