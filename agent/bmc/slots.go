package bmc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

const (
	nameSize  = 16
	firstSlot = 2 // 1 is the nameless user (22.26)
	maxSlots  = 63
)

// ErrNoSlot says that every slot is in use.
var ErrNoSlot = errors.New("no user slot of the BMC is free; a person has to remove a user there")

// Slot is one user of the BMC.
type Slot struct {
	ID   uint8
	Name string
	// Known is false where the BMC does not tell about it.
	Known bool
	// Enabled and Disabled are what the BMC says of the user; neither, where it does not tell.
	Enabled, Disabled bool
	// Messaging says that the user may use IPMI over the channel.
	Messaging bool
	Privilege uint8
}

// Free says that nobody uses the slot: no name, not enabled, no messages. A nameless user that may log in is an anonymous one, and in use.
func (s Slot) Free() bool { return s.Known && s.Name == "" && !s.Enabled && !s.Messaging }

// Choose picks the slot for a user: the one with that very name, which an earlier try began; or else the first free one behind those whose names are fixed.
func Choose(slots []Slot, fixed uint8, name string) (Slot, error) {
	if i := slices.IndexFunc(slots, func(s Slot) bool { return s.Known && s.Name == name && name != "" && s.ID >= firstSlot }); i >= 0 {
		return slots[i], nil
	}
	for _, s := range slots {
		if s.ID >= firstSlot && s.ID > fixed && s.Free() {
			return s, nil
		}
	}
	return Slot{}, ErrNoSlot
}

// readSlots reads all users as the channel has them, and how many at the beginning have fixed names.
func readSlots(ctx context.Context, p Port, channel uint8) ([]Slot, uint8, error) {
	b, err := ask(ctx, p, netApp, getUserAccess, 4, channel, 1)
	if err != nil {
		return nil, 0, err
	}
	count, fixed := b[0]&0x3f, b[2]&0x3f
	var slots []Slot
	for id := uint8(firstSlot); id <= min(count, maxSlots); id++ {
		s, err := readSlot(ctx, p, channel, id)
		if err != nil {
			return nil, 0, err
		}
		slots = append(slots, s)
	}
	return slots, fixed, nil
}

// readSlot reads one user (22.27, 22.29). Some BMCs refuse to name an empty one (CCh, CBh).
func readSlot(ctx context.Context, p Port, channel, id uint8) (Slot, error) {
	s := Slot{ID: id}
	b, err := ask(ctx, p, netApp, getUserAccess, 4, channel, id)
	if err != nil {
		return s, known(err)
	}
	s.Enabled, s.Disabled = b[1]>>6 == 1, b[1]>>6 == 2
	s.Messaging, s.Privilege = b[3]&0x10 != 0, b[3]&0x0f
	name, err := ask(ctx, p, netApp, getUserName, nameSize, id)
	switch code := codeOf(err); {
	case code == 0xcc || code == 0xcb:
	case err != nil:
		return s, known(err)
	default:
		s.Name = string(bytes.TrimRight(name[:nameSize], "\x00 "))
	}
	s.Known = true
	return s, nil
}

// known forgives what the BMC refuses about one user: that slot is left alone.
func known(err error) error {
	if codeOf(err) != 0 {
		return nil
	}
	return err
}

func (s Slot) String() string { return fmt.Sprintf("user slot %d of the BMC", s.ID) }
