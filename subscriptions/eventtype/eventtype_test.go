package eventtype

import (
	"slices"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, eventType string
		want               bool
	}{
		{"task.create", "task.create", true},
		{"task.create", "task.created", false},
		{"task.create", "task", false},
		{"task", "task", true},
		{"task", "task.create", false},
		{"task.*", "task.create", true},
		{"task.*", "task.comment.create", true},
		{"task.*", "task", false},
		{"task.*", "tasks.create", false},
		{"task.*", "project.task.create", false},
		{"task.comment.*", "task.comment.create", true},
		{"task.comment.*", "task.create", false},
		{"*", "task", true},
		{"*", "task.comment.create", true},
		{"*.create", "task.create", false},
		{"task.*.create", "task.comment.create", false},
		{"task*", "task.create", false},
		{"task*", "tasks", false},
		{"**", "task", false},
		{"*.*", "task.create", false},
		{".*", "task", false},
		{"", "task", false},
	} {
		if got := Match(test.pattern, test.eventType); got != test.want {
			t.Errorf("%q, %q: %v", test.pattern, test.eventType, got)
		}
	}
}

func TestValid(t *testing.T) {
	for text, want := range map[string]bool{
		"task": true, "task.create": true, "a_1.b_2.3": true, strings.Repeat("a", maxType): true,
		"": false, ".": false, "task.": false, ".task": false, "task..create": false, "Task": false, "task-create": false,
		"task.*": false, "*": false, "täsk": false, "task create": false, strings.Repeat("a", maxType+1): false,
	} {
		if got := Valid(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// FuzzMatch compares Match with the rule, segment by segment.
func FuzzMatch(f *testing.F) {
	for _, pattern := range []string{"task.create", "task.*", "*", "*.create", "task*", "**", ".*", ""} {
		f.Add(pattern, "task.create")
	}
	f.Fuzz(func(t *testing.T, pattern, eventType string) {
		if !Valid(eventType) {
			t.Skip()
		}
		segments, of := strings.Split(pattern, "."), strings.Split(eventType, ".")
		want := slices.Equal(segments, of)
		if last := len(segments) - 1; segments[last] == "*" {
			want = len(of) > last && slices.Equal(segments[:last], of[:last])
		}
		if got := Match(pattern, eventType); got != want {
			t.Errorf("%q, %q: %v, want %v", pattern, eventType, got, want)
		}
	})
}
