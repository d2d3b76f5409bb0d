//go:build bench

package storm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// A stubborn machine does what a real one does when its boot server dies:
//
//   - Its firmware waits for further offers before it takes one, and repeats its DHCP messages after 4, 8, 16 and 32 seconds (EDK2, PXE 2.1); TFTP after 4 seconds, six
//     times (EDK2). What fails then ends the network boot.
//   - iPXE runs our first stage: without a script it sleeps five seconds, asks DHCP who serves the network now (1, 2, 4, 8, 10 seconds), goes on with that server, and
//     leaves to the firmware after the third failure (pxe-server/boot, firstStage). What the script names is fetched once; without it iPXE sleeps, asks for the first
//     stage again, and where that is gone asks DHCP, once (pxe-server/boot, askAgain).
//   - Firmware without anything to boot starts over, after a while: a boot order that repeats, or a watchdog's reset (boots). Real firmware takes minutes for that, so
//     the time until it asks again is shorter here.
//
// A killed program's host still answers, so that connections are refused at once; a host that lost its power would cost each of them a timeout.

const (
	// collecting is how long further offers are waited for; EDK2 takes its whole first wait of four seconds, iPXE two.
	collecting = time.Second
	// failPause is failSeconds in pxe-server/boot.
	failPause = 10 * time.Second
	// maxHops is firstStageHops there.
	maxHops = 3
	// lives bounds how often a machine starts over.
	lives = 10
)

// boots starts over, if the machine is stubborn, until a boot succeeds.
func (m *machine) boots(ctx context.Context) error {
	for life := 1; ; life++ {
		err := m.boot(ctx)
		if err == nil || ctx.Err() != nil || life == lives || !m.stubborn {
			return err
		}
		m.again["whole boot"]++
		m.hops = 0
		if err := pause(ctx, 5*time.Second+rand.N(5*time.Second)); err != nil {
			return err
		}
	}
}

// follow asks DHCP as iPXE, and goes to the server that it names, at most maxHops times. It stays where it is when nobody answers.
func (m *machine) follow(ctx context.Context) {
	was := m.server
	file, err := m.address(ctx, ipxe, ipxeWaits)
	u, parsed := url.Parse(file)
	if err != nil || parsed != nil || u.Hostname() == "" || u.Hostname() == was || m.hops == maxHops {
		m.at(was)
		return
	}
	m.hops++
	m.again["went to the other server"]++
	m.at(u.Hostname())
}

// goesOn is what a script ends with: what it named could not be fetched.
func (m *machine) goesOn(ctx context.Context, failure error) error {
	if !m.stubborn {
		return failure
	}
	m.again["kernel and initramfs"]++
	if err := pause(ctx, failPause); err != nil {
		return err
	}
	m.hops = 0
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+m.server+":7480/boot/v1/boot.ipxe", nil)
	if err != nil {
		return err
	}
	answer, err := m.client.Do(r)
	if err == nil {
		return answer.Body.Close()
	}
	was := m.server
	if m.follow(ctx); m.server == was {
		return fmt.Errorf("the boot server is gone, and DHCP names no other: %w", failure)
	}
	return nil
}
