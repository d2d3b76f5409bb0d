package main

import (
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestStepsAreMadeOnce(t *testing.T) {
	s := steps{dir: t.TempDir(), say: func(string) {}}
	made := 0
	step := func(depends ...string) string {
		t.Helper()
		path, err := s.make("x", depends, func(path string) error {
			made++
			write(t, path, depends[0])
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(t, filepath.Join(s.dir, "x-other"), "of another step")
	first := step("a", "b")
	if again := step("a", "b"); again != first || made != 1 {
		t.Errorf("the same step was made %d times", made)
	}
	if joined := step("a\x01b"); joined == first || made != 2 {
		t.Error("a step with other inputs was not made")
	}
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Errorf("the old result: %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "x-other")); err != nil {
		t.Errorf("the result of another step: %v", err)
	}
}

func TestFailedStepLeavesNothing(t *testing.T) {
	s := steps{dir: t.TempDir(), say: func(string) {}}
	fail := func(path string) error { write(t, path, "half"); return os.ErrInvalid }
	if _, err := s.make("x", nil, fail); err == nil {
		t.Fatal("the failure was lost")
	}
	made := false
	if _, err := s.make("x", nil, func(path string) error { made = true; write(t, path, "whole"); return nil }); err != nil || !made {
		t.Errorf("after a failure: made %v, %v", made, err)
	}
}

func TestSlicesHoldThoseBefore(t *testing.T) {
	for slice, want := range map[string][3]bool{"apid": {true, false, false}, "install": {true, true, false}, "kubernetes": {true, true, true}} {
		o, err := parse([]string{"--out", "x", "--slice", slice})
		if err != nil {
			t.Fatal(err)
		}
		b := builder{options: o}
		if got := [3]bool{b.has("apid"), b.has("install"), b.has("kubernetes")}; got != want {
			t.Errorf("%s has %v, want %v", slice, got, want)
		}
	}
	if _, err := parse([]string{"--out", "x", "--slice", "all"}); err == nil {
		t.Error("an unknown slice was taken")
	}
}
