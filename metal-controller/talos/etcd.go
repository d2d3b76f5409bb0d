package talos

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"slices"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxMembers bounds what is read of a list of members; etcd's own advice is seven.
const maxMembers = 64

// ErrMemberKept: etcd does not let a member go (strict-reconfig-check).
var ErrMemberKept = errors.New("etcd does not let the member go: without it, too few of the others are up for a majority")

// Member of an etcd.
type Member struct {
	ID uint64
	// Name is the machine's host name.
	Name string
	// Peers are the addresses that the others reach it at.
	Peers []netip.Addr
}

// Members are those of the etcd that a control plane belongs to. Errors are those of Ask, ErrOther, ErrNotYet, and ErrNever for a machine that is no control plane.
func (c Client) Members(ctx context.Context, address netip.Addr, own Credentials, want Machine) (members []Member, err error) {
	err = c.to(ctx, address, own, want, func(ctx context.Context, _ Answer, m machine.MachineServiceClient) error {
		list, err := m.EtcdMemberList(ctx, &machine.EtcdMemberListRequest{})
		if err != nil {
			return unlisted(err)
		}
		for _, x := range list.GetMessages() {
			for _, y := range x.GetMembers() {
				members = append(members, Member{ID: y.GetId(), Name: word(y.GetHostname()), Peers: peers(y.GetPeerUrls())})
			}
		}
		if len(members) == 0 || len(members) > maxMembers {
			return ErrBroken
		}
		return nil
	})
	return members, err
}

// Remove takes a member out of the etcd that a control plane belongs to. It returns nil when there is no such member, now or before. etcd itself refuses what would
// leave it without a majority: ErrMemberKept.
func (c Client) Remove(ctx context.Context, address netip.Addr, own Credentials, want Machine, member uint64) error {
	return c.to(ctx, address, own, want, func(ctx context.Context, _ Answer, m machine.MachineServiceClient) error {
		_, err := m.EtcdRemoveMemberByID(ctx, &machine.EtcdRemoveMemberByIDRequest{MemberId: member})
		switch status.Code(err) {
		case codes.OK, codes.NotFound:
			return nil
		case codes.Unknown, codes.FailedPrecondition, codes.Internal: // Talos wraps etcd's refusal, which has no code then
			return ErrMemberKept
		}
		return unlisted(err)
	})
}

// unlisted is why etcd could not be asked: the machine is no control plane (Unimplemented), or its etcd does not answer.
func unlisted(err error) error {
	switch status.Code(err) {
	case codes.Unimplemented, codes.InvalidArgument:
		return ErrNever
	case codes.PermissionDenied, codes.Unauthenticated:
		return ErrRefused
	}
	return ErrNotYet
}

// peers are the addresses in URLs of a member.
func peers(urls []string) (all []netip.Addr) {
	for _, text := range urls[:min(len(urls), maxMembers)] {
		u, err := url.Parse(text)
		if err != nil {
			continue
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil {
			all = append(all, a.Unmap().WithZone(""))
		}
	}
	return all
}

// Find finds the member that a machine is, by its names and its address. It is unsure when they mean different members.
func Find(members []Member, names []string, address netip.Addr) (m Member, found, sure bool) {
	byName := slices.IndexFunc(members, func(m Member) bool { return slices.Contains(names, m.Name) })
	byAddress := slices.IndexFunc(members, func(m Member) bool { return slices.Contains(m.Peers, address) })
	switch {
	case byName < 0 && byAddress < 0:
		return Member{}, false, true
	case byName >= 0 && byAddress >= 0 && byName != byAddress:
		return Member{}, true, false
	}
	return members[max(byName, byAddress)], true, true
}
