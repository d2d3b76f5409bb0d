package bmc

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Prefix of the names of Ingot's own users. No other is ever dropped.
const Prefix = "ingot-"

// passwordSize is that of the form that every BMC takes (22.30).
const passwordSize = 16

// Operations of Set User Password (22.30).
const (
	disable = iota
	enable
	setPassword
	testPassword
)

// Account is a user as it was set up.
type Account struct {
	Slot    uint8
	Channel Channel
}

// Ensure sets a user up: an operator over the LAN channel, with this name and password. It may be interrupted anywhere and called again.
func Ensure(ctx context.Context, p Port, name, password string) (Account, error) {
	if !strings.HasPrefix(name, Prefix) || len(name) > nameSize || password == "" || len(password) > passwordSize {
		return Account{}, fmt.Errorf("a user needs a name that begins with %s, of at most %d bytes, and a password of at most %d", Prefix, nameSize, passwordSize)
	}
	channel, err := lanChannel(ctx, p)
	if err != nil {
		return Account{}, err
	}
	if err := channel.open(ctx, p); err != nil {
		return Account{}, err
	}
	slots, fixed, err := readSlots(ctx, p, channel.Number)
	if err != nil {
		return Account{}, err
	}
	slot, err := Choose(slots, fixed, name)
	if err != nil {
		return Account{}, err
	}
	if err := fill(ctx, p, channel.Number, slot, name, password); err != nil {
		return Account{}, err
	}
	return Account{Slot: slot.ID, Channel: channel}, proveSet(ctx, p, channel.Number, slot.ID, name)
}

// fill writes the user, its name first: by that an interrupted try finds it again.
func fill(ctx context.Context, p Port, channel uint8, slot Slot, name, password string) error {
	if slot.Name != name {
		if err := rename(ctx, p, slot.ID, name); err != nil {
			return err
		}
	}
	if err := operate(ctx, p, slot.ID, setPassword, password); err != nil {
		return err
	}
	err := operate(ctx, p, slot.ID, testPassword, password)
	switch code := codeOf(err); {
	case code == 0x80 || code == 0x81: // 22.30
		return fmt.Errorf("the BMC took a password and does not know it for %s", slot)
	case err != nil && code == 0: // BMCs without that test refuse it; the login shows what it would
		return err
	}
	if err := allow(ctx, p, channel, slot.ID, 0x10, operator); err != nil {
		return err
	}
	return operate(ctx, p, slot.ID, enable, password)
}

// proveSet reads back.
func proveSet(ctx context.Context, p Port, channel, id uint8, name string) error {
	s, err := readSlot(ctx, p, channel, id)
	if err == nil && (s.Name != name || s.Disabled || !s.Messaging || s.Privilege != operator) {
		err = fmt.Errorf("the BMC took %s and shows otherwise", s)
	}
	return err
}

// Drop lets users be gone; names that the BMC does not have are gone. It may be interrupted anywhere and called again.
func Drop(ctx context.Context, p Port, names []string) error {
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, Prefix) })
	if len(names) == 0 {
		return nil
	}
	channel, err := lanChannel(ctx, p)
	if err != nil {
		return err
	}
	slots, _, err := readSlots(ctx, p, channel.Number)
	if err != nil {
		return err
	}
	for _, s := range slots {
		if s.Known && s.ID >= firstSlot && slices.Contains(names, s.Name) {
			if err := drop(ctx, p, channel.Number, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop takes the user's rights first and its name last: by that an interrupted try finds it again. A BMC that keeps the name of a user that is not let in any
// more has done enough.
func drop(ctx context.Context, p Port, channel uint8, s Slot) error {
	if err := operate(ctx, p, s.ID, disable, ""); err != nil {
		return err
	}
	if err := allow(ctx, p, channel, s.ID, 0, noAccess); err != nil {
		return err
	}
	if err := rename(ctx, p, s.ID, ""); err != nil && codeOf(err) == 0 {
		return err
	}
	left, err := readSlot(ctx, p, channel, s.ID)
	if err == nil && (left.Enabled || left.Messaging) {
		err = fmt.Errorf("the BMC was told to drop %s and lets it in", s)
	}
	return err
}

// operate is Set User Password (22.30), with room for 16 bytes.
func operate(ctx context.Context, p Port, id, operation uint8, password string) error {
	data := make([]byte, 2+passwordSize)
	data[0], data[1] = id, operation
	copy(data[2:], password)
	_, err := ask(ctx, p, netApp, setUserPassword, 0, data...)
	return err
}

// rename is Set User Name (22.28).
func rename(ctx context.Context, p Port, id uint8, name string) error {
	data := make([]byte, 1+nameSize)
	data[0] = id
	copy(data[1:], name)
	_, err := ask(ctx, p, netApp, setUserName, 0, data...)
	return err
}

// allow is Set User Access (22.26): what it says of callback and link authentication is no.
func allow(ctx context.Context, p Port, channel, id, messaging, privilege uint8) error {
	_, err := ask(ctx, p, netApp, setUserAccess, 0, 0x80|messaging|channel, id, privilege, 0)
	return err
}
