package ata

import (
	"errors"
	"fmt"
	"time"
)

// Commands of the security feature set, sections 7.46 to 7.51.
const (
	cmdSetPassword     = 0xF1
	cmdUnlock          = 0xF2
	cmdErasePrepare    = 0xF3
	cmdEraseUnit       = 0xF4
	cmdDisablePassword = 0xF6
)

// password locks a disk for the time of its erase. Word 0 of the data is 0 for the user password.
const password = "ingot wipes this disk"

// enhancedMode is bit 1 of word 0 for SECURITY ERASE UNIT.
const enhancedMode = 1 << 1

var (
	errUnsupported = errors.New("the disk does not support the enhanced security erase")
	errFrozen      = errors.New("the machine's firmware froze the security commands of the disk")
	errExpired     = errors.New("the disk counts too many wrong passwords; a power cycle resets that")
	errForeign     = errors.New("the disk is locked with somebody's password")
)

// SecurityErase runs SECURITY ERASE UNIT in enhanced mode, which also reaches reallocated sectors. The disk cannot be stopped once it
// began; it takes as long as word 90 says.
func SecurityErase(p Port) error {
	id, err := identify(p)
	if err != nil {
		return err
	}
	if err := erasable(id); err != nil {
		return err
	}
	ours := !id.security(securityEnabled)
	if ours {
		if _, err := p.Do(withPassword(cmdSetPassword, 0, question)); err != nil {
			return fmt.Errorf("setting a password for the time of the erase: %w", err)
		}
	}
	if err := eraseUnit(p, eraseTime(id[wordEnhancedTime])); err != nil {
		return errors.Join(err, release(p, ours))
	}
	if id, err = identify(p); err != nil {
		return err
	}
	if id.security(securityEnabled) {
		return errors.Join(errors.New("the disk acknowledged its erase, and kept the password that an erase takes away"), release(p, true))
	}
	return nil
}

func erasable(id identity) error {
	switch {
	case !id.security(securitySupported) || !id.security(securityEnhanced):
		return errUnsupported
	case id.security(securityFrozen):
		return errFrozen
	case id.security(securityExpired):
		return errExpired
	}
	return nil
}

func eraseUnit(p Port, timeout time.Duration) error {
	// Without the preparation right before, the disk refuses.
	if _, err := p.Do(Command{Code: cmdErasePrepare, Timeout: question}); err != nil {
		return fmt.Errorf("preparing the erase: %w", err)
	}
	if _, err := p.Do(withPassword(cmdEraseUnit, enhancedMode, timeout)); err != nil {
		return fmt.Errorf("erasing: %w", err)
	}
	return nil
}

// release takes the password away again. A disk that was locked before and does not know ours belongs to somebody else.
func release(p Port, ours bool) error {
	_, unlock := p.Do(withPassword(cmdUnlock, 0, question))
	_, err := p.Do(withPassword(cmdDisablePassword, 0, question))
	switch {
	case err == nil:
		return nil
	case !ours:
		return errForeign
	}
	return errors.Join(fmt.Errorf("taking the password away again: %w", err), unlock)
}

func withPassword(code byte, word0 byte, timeout time.Duration) Command {
	data := make([]byte, sector)
	data[0] = word0
	copy(data[2:34], password)
	return Command{Code: code, Count: 1, Direction: Out, Data: data, Timeout: timeout}
}

// eraseTime is twice what the disk estimates: word 90 counts 2 minutes, in 8 bits, or in 15 when bit 15 is set. A disk that does not
// tell, or that tells the greatest value, gets two days.
func eraseTime(word uint16) time.Duration {
	const most = 48 * time.Hour
	n, limit := word&0xff, uint16(0xff)
	if word&0x8000 != 0 {
		n, limit = word&0x7fff, 0x7fff
	}
	if n == 0 || n == limit {
		return most
	}
	return min(time.Duration(n)*2*time.Minute*2+10*time.Minute, most)
}
