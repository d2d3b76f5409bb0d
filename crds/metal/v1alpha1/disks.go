package v1alpha1

// Selects says that everything which the selector names fits the disk. An empty one fits nothing.
func (s DiskSelector) Selects(d Disk) bool {
	return s != (DiskSelector{}) && (s.WWID == "" || s.WWID == d.WWID) && (s.Serial == "" || s.Serial == d.Serial) &&
		(s.Transport == "" || s.Transport == d.Transport) && (s.Removable == nil || *s.Removable == d.Removable)
}
