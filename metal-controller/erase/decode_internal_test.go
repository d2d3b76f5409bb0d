package erase

import (
	"bytes"
	"testing"
)

// FuzzDecode: a payload, which only the holder of the key can make, is taken in its one form or not at all.
func FuzzDecode(f *testing.F) {
	good := []byte(`{
  "schemaVersion": 1,
  "installation": "here",
  "server": "s1",
  "system": {},
  "wipe": {
    "id": "w1",
    "generation": 1,
    "level": "Clear",
    "grantedAt": "2026-05-04T02:02:01Z",
    "verifiedAt": "2026-05-04T02:03:01Z"
  },
  "agent": {
    "bootID": "b1"
  },
  "disks": [
    {
      "wwid": "eui.1",
      "blocksRead": 7,
      "seconds": 1,
      "verdict": "Erased"
    }
  ],
  "key": {
    "fingerprint": "f",
    "publicKey": "k"
  }
}
`)
	if _, err := decode(good); err != nil {
		f.Fatalf("control: %v", err)
	}
	for _, change := range [][2]string{
		{"", ""},
		{`"schemaVersion": 1`, `"schemaVersion": 2`},
		{`"here"`, `""`},
		{"Clear", "Deep"},
		{"01Z", "01.5Z"},
		{"01Z", "01+01:00"},
		{`"Erased"`, `"NotErased"`},
		{"[\n", "null"},
		{`"seconds": 1`, `"seconds": 1, "seconds": 2`},
		{`"server"`, `"Server"`},
		{"\n  ", "\n"},
		{`"disks": [`, `"disks": [{},`},
	} {
		bad := bytes.Replace(good, []byte(change[0]), []byte(change[1]), 1)
		if _, err := decode(bad); err == nil && change[0] != "" {
			f.Errorf("%q for %q is taken", change[1], change[0])
		}
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := decode(payload)
		if err != nil {
			return
		}
		if again, err := encode(r); err != nil || !bytes.Equal(again, payload) {
			t.Errorf("taken: %q, written: %q, %v", payload, again, err)
		}
	})
}
