/// A clock that stands still until a test moves it.
struct MockClock {
    private(set) var now = ContinuousClock.now

    mutating func advance(by duration: Duration) { now += duration }
}
