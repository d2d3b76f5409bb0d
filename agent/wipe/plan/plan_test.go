package plan

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func disk(change ...func(*Disk)) Disk {
	d := Disk{Size: 1 << 30, Sector: 512}
	for _, f := range change {
		f(&d)
	}
	return d
}

func nvmeDisk(n NVMe) func(*Disk) { return func(d *Disk) { d.NVMe = n } }
func ataDisk(a ATA) func(*Disk)   { return func(d *Disk) { d.ATA = a } }
func rotational(d *Disk)          { d.Rotational = true }
func discards(d *Disk)            { d.DiscardMax = 4096 }
func names(steps []Step) []string {
	out := []string{}
	for _, s := range steps {
		out = append(out, strings.TrimSuffix(string(s.Method)+"/"+string(s.Kind), "/"))
	}
	return out
}

func TestPlans(t *testing.T) {
	all := Sanitize{Block: true, Crypto: true, Overwrite: true}
	tests := []struct {
		name    string
		level   Level
		disk    Disk
		choices string
		before  string
		reached Level
	}{
		{"quick", Quick, disk(), "Signatures", "", Quick},
		{"quick with discard", Quick, disk(discards), "Signatures", "Discard", Quick},
		{"quick of NVMe does not format", Quick, disk(discards, nvmeDisk(NVMe{Format: true, Namespaces: 1})), "Signatures", "Discard", Quick},
		{"clear of a virtual disk", Clear, disk(discards), "Discard ZeroOut Overwrite", "", Clear},
		{"clear without discard", Clear, disk(), "ZeroOut Overwrite", "", Clear},
		{"clear of a hard disk", Clear, disk(rotational, discards), "ZeroOut Overwrite", "", Clear},
		{"clear of NVMe", Clear, disk(discards, nvmeDisk(NVMe{Format: true, CryptoFormat: true, Namespaces: 1, Sanitize: all})), "NVMeFormat/UserData Discard ZeroOut Overwrite", "", Clear},
		{"clear of one namespace of two", Clear, disk(discards, nvmeDisk(NVMe{Format: true, Namespaces: 2})), "NVMeFormat/UserData Discard ZeroOut Overwrite", "", Clear},
		{"clear where a format takes both", Clear, disk(discards, nvmeDisk(NVMe{Format: true, FormatsAll: true, Namespaces: 2})), "Discard ZeroOut Overwrite", "", Clear},
		{"clear where a format takes all, however many they are", Clear, disk(nvmeDisk(NVMe{Format: true, FormatsAll: true})), "ZeroOut Overwrite", "", Clear},
		{"clear of ATA does not lock", Clear, disk(rotational, ataDisk(ATA{Security: true, Enhanced: true, Sanitize: all})), "ZeroOut Overwrite", "", Clear},
		{
			"purge of NVMe", Purge, disk(nvmeDisk(NVMe{Format: true, CryptoFormat: true, Namespaces: 1, Sanitize: all})),
			"NVMeSanitize/Block NVMeSanitize/Crypto NVMeFormat/Crypto NVMeFormat/UserData NVMeSanitize/Pattern", "", Purge,
		},
		{"purge of one namespace of two does not sanitize", Purge, disk(nvmeDisk(NVMe{Format: true, CryptoFormat: true, Namespaces: 2, Sanitize: all})), "NVMeFormat/Crypto NVMeFormat/UserData", "", Purge},
		{"purge by plain format", Purge, disk(nvmeDisk(NVMe{Format: true, Namespaces: 1})), "NVMeFormat/UserData", "", Purge},
		{"purge by a format that takes the only one", Purge, disk(nvmeDisk(NVMe{Format: true, FormatsAll: true, Namespaces: 1})), "NVMeFormat/UserData", "", Purge},
		{"crypto without format is nothing", Purge, disk(nvmeDisk(NVMe{CryptoFormat: true, Namespaces: 1, Sanitize: Sanitize{Block: true}})), "NVMeSanitize/Block", "", Purge},
		{"purge of a hard disk", Purge, disk(rotational, ataDisk(ATA{Security: true, Enhanced: true, Sanitize: all})), "ATASanitize/Crypto ATASanitize/Pattern ATASecurityErase/Enhanced", "", Purge},
		{"purge of a SATA flash disk", Purge, disk(ataDisk(ATA{Security: true, Enhanced: true, Sanitize: all})), "ATASanitize/Block ATASanitize/Crypto", "", Purge},
		{"security frozen, sanitize not", Purge, disk(rotational, ataDisk(ATA{Security: true, Frozen: true, Enhanced: true, Sanitize: all})), "ATASanitize/Crypto ATASanitize/Pattern", "", Purge},
		{"sanitize frozen, security not", Purge, disk(rotational, ataDisk(ATA{Security: true, Enhanced: true, Sanitize: all, SanitizeFrozen: true})), "ATASecurityErase/Enhanced", "", Purge},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p, err := For(Target{tc.level, tc.disk})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(names(p.Choices), " "); got != tc.choices {
				t.Errorf("choices %s, want %s", got, tc.choices)
			}
			if got := strings.Join(names(p.Before), " "); got != tc.before {
				t.Errorf("before %s, want %s", got, tc.before)
			}
			if p.Reached() != tc.reached {
				t.Errorf("reaches %s, want %s", p.Reached(), tc.reached)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	sane := disk(discards)
	with := func(f func(*Disk)) Disk { d := sane; f(&d); return d }
	tests := []struct {
		name   string
		target Target
		want   string
	}{
		{"no level", Target{"", sane}, `the level "" is none of`},
		{"a level of tomorrow", Target{"Shred", sane}, `the level "Shred" is none of`},
		{"read-only", Target{Clear, with(func(d *Disk) { d.ReadOnly = true })}, "read-only"},
		{"no size", Target{Clear, with(func(d *Disk) { d.Size = 0 })}, "has 0 bytes"},
		{"negative size", Target{Clear, with(func(d *Disk) { d.Size = -512 })}, "has -512 bytes"},
		{"half a sector", Target{Clear, with(func(d *Disk) { d.Size = 1<<30 + 256 })}, "in sectors of 512"},
		{"no sector", Target{Clear, with(func(d *Disk) { d.Sector = 0 })}, "sectors have 0 bytes"},
		{"small sector", Target{Clear, with(func(d *Disk) { d.Sector = 256 })}, "sectors have 256 bytes"},
		{"large sector", Target{Clear, with(func(d *Disk) { d.Sector = 1 << 17 })}, "sectors have 131072 bytes"},
		{"odd sector", Target{Clear, with(func(d *Disk) { d.Sector, d.Size = 520, 520*1024 })}, "sectors have 520 bytes"},
		{"no way to purge", Target{Purge, sane}, "has no method for Purge; the strongest level it can reach is Clear: choose"},
		{
			"others would be erased",
			Target{Purge, disk(nvmeDisk(NVMe{Format: true, FormatsAll: true, Namespaces: 2}))},
			"(its controller would erase other namespaces as well); the strongest",
		},
		{
			"sanitize alone, and others there",
			Target{Purge, disk(nvmeDisk(NVMe{Sanitize: Sanitize{Crypto: true}, Namespaces: 3}))},
			"its controller would erase other namespaces as well",
		},
		{"frozen", Target{Purge, disk(rotational, ataDisk(ATA{Security: true, Enhanced: true, Frozen: true}))}, "froze its erase commands"},
		{"sanitize frozen", Target{Purge, disk(ataDisk(ATA{Sanitize: Sanitize{Block: true}, SanitizeFrozen: true}))}, "froze its erase commands"},
		{"flash with security alone", Target{Purge, disk(ataDisk(ATA{Security: true, Enhanced: true}))}, "solid state drive is no more than Clear"},
		{"security without the enhanced mode", Target{Purge, disk(rotational, ataDisk(ATA{Security: true}))}, "has no method for Purge; the strongest"},
		{"enhanced without security", Target{Purge, disk(rotational, ataDisk(ATA{Enhanced: true}))}, "has no method for Purge; the strongest"},
		{"block erase of a hard disk is nonsense", Target{Purge, disk(rotational, ataDisk(ATA{Sanitize: Sanitize{Block: true}}))}, "has no method for Purge"},
		{"overwriting flash from the inside is not asked for", Target{Purge, disk(ataDisk(ATA{Sanitize: Sanitize{Overwrite: true}}))}, "has no method for Purge"},
		{"crypto format without format", Target{Purge, disk(nvmeDisk(NVMe{CryptoFormat: true, Namespaces: 1}))}, "has no method for Purge; the strongest"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p, err := For(tc.target)
			if err == nil || !strings.Contains(err.Error(), tc.want) || len(p.Choices) != 0 {
				t.Errorf("%v, %v; want an error with %q", p, err, tc.want)
			}
		})
	}
	t.Run("control", func(t *testing.T) {
		if _, err := For(Target{Clear, sane}); err != nil {
			t.Error(err)
		}
	})
	if _, err := For(Target{Clear, with(func(d *Disk) { d.ReadOnly = true })}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("%v is not ErrReadOnly", err)
	}
	var u *UnreachableError
	if _, err := For(Target{Purge, sane}); !errors.As(err, &u) || u.Strongest != Clear || u.Asked != Purge {
		t.Errorf("%v does not name what is possible", err)
	}
}

func TestLimitsOfSectorsAndSizes(t *testing.T) {
	for _, s := range []int{512, 1024, 4096, 65536} {
		if _, err := For(Target{Clear, Disk{Size: int64(s), Sector: s}}); err != nil {
			t.Errorf("one sector of %d: %v", s, err)
		}
	}
}

func anyDisk(t *rapid.T) Disk {
	flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
	sanitize := func(n string) Sanitize {
		return Sanitize{flag(n + " block"), flag(n + " crypto"), flag(n + " overwrite")}
	}
	return Disk{
		Rotational: flag("rotational"), ReadOnly: flag("read-only"), Size: rapid.Int64Range(-1, 1<<44).Draw(t, "size") &^ 511,
		Sector: rapid.SampledFrom([]int{0, 512, 4096, 520}).Draw(t, "sector"), DiscardMax: rapid.Int64Range(0, 2).Draw(t, "discard"),
		NVMe: NVMe{flag("format"), flag("formats all"), flag("crypto format"), sanitize("nvme"), rapid.IntRange(0, 3).Draw(t, "namespaces")},
		ATA:  ATA{flag("security"), flag("frozen"), flag("enhanced"), sanitize("ata"), flag("sanitize frozen")},
	}
}

// TestEveryTargetHasAnAnswer: the properties that no combination of abilities may break.
func TestEveryTargetHasAnAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, level := anyDisk(t), rapid.SampledFrom([]Level{Quick, Clear, Purge, ""}).Draw(t, "level")
		p, err := For(Target{level, d})
		if err != nil {
			if len(p.Choices)+len(p.Before) != 0 {
				t.Fatalf("an error and steps: %v", p)
			}
			var u *UnreachableError
			if errors.As(err, &u) {
				if _, err := For(Target{u.Strongest, d}); err != nil {
					t.Fatalf("it names %s as possible, which says %v", u.Strongest, err)
				}
			}
			return
		}
		if d.ReadOnly || len(p.Choices) == 0 || !p.Reached().AtLeast(level) {
			t.Fatalf("%v reaches %s", p, p.Reached())
		}
		for _, s := range p.Choices {
			honest(t, d, level, s)
		}
	})
}

// gives is the most that a method can give, written down a second time, apart from the tables.
func gives(d Disk, s Step) Level {
	switch s.Method {
	case Signatures:
		return Quick
	case Discard, ZeroOut, Overwrite:
		return Clear
	case NVMeFormat, NVMeSanitize, ATASanitize:
		return Purge
	case ATASecurityErase:
		if s.Kind == Enhanced && d.Rotational {
			return Purge
		}
	}
	return Clear
}

func honest(t *rapid.T, d Disk, level Level, s Step) {
	if !s.Gives.AtLeast(level) || !gives(d, s).AtLeast(s.Gives) {
		t.Fatalf("%v claims %s for a wish of %s", s, s.Gives, level)
	}
	n, a := d.NVMe, d.ATA
	able := map[string]bool{
		"Signatures": true, "ZeroOut": true, "Overwrite": true, "Discard": d.DiscardMax > 0 && !d.Rotational,
		"NVMeFormat/UserData": n.Format, "NVMeFormat/Crypto": n.Format && n.CryptoFormat,
		"NVMeSanitize/Block": n.Sanitize.Block, "NVMeSanitize/Crypto": n.Sanitize.Crypto, "NVMeSanitize/Pattern": n.Sanitize.Overwrite,
		"ATASanitize/Block": a.Sanitize.Block && !a.SanitizeFrozen, "ATASanitize/Crypto": a.Sanitize.Crypto && !a.SanitizeFrozen,
		"ATASanitize/Pattern": a.Sanitize.Overwrite && !a.SanitizeFrozen, "ATASecurityErase/Enhanced": a.Security && a.Enhanced && !a.Frozen,
	}
	if !able[names([]Step{s})[0]] {
		t.Fatalf("%v is planned for a disk that cannot: %+v", s, d)
	}
	wide := s.Method == NVMeSanitize || s.Method == NVMeFormat && n.FormatsAll
	if wide && n.Namespaces != 1 {
		t.Fatalf("%v would hit other namespaces: %+v", s, n)
	}
	promise := map[Method]Promise{Signatures: Zeros, ZeroOut: Zeros, Overwrite: Zeros, Discard: PerhapsZeros}
	if want, ok := promise[s.Method]; s.Promise != want && ok || !ok && s.Promise != Erased {
		t.Fatalf("%v promises %d", s, s.Promise)
	}
}

func TestLevels(t *testing.T) {
	order := []Level{"", Quick, Clear, Purge}
	for i, a := range order {
		for k, b := range order {
			if a.AtLeast(b) != (i >= k) {
				t.Errorf("%q at least %q: %t", a, b, a.AtLeast(b))
			}
		}
		if a.Known() != (i > 0) {
			t.Errorf("%q known: %t", a, a.Known())
		}
	}
}

func TestPlansDoNotShareMemory(t *testing.T) {
	a, _ := For(Target{Clear, disk(discards)})
	a.Choices[0].Gives = Purge
	b, _ := For(Target{Clear, disk(discards)})
	if b.Choices[0].Gives != Clear || reflect.DeepEqual(a, b) || !slices.Equal(names(a.Choices), names(b.Choices)) {
		t.Error("one plan changed another")
	}
}
