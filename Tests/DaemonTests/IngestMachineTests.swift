import Core
import Testing

@testable import Daemon

/// What the ingest does next, decided without a clock, a disk or a catalog.
@Suite("Decisions of the ingest") struct IngestMachineTests {
    private var clock = MockClock()
    private var machine = IngestMachine()

    private func version(_ transaction: UInt64, inode: UInt64 = 1) -> CatalogVersion {
        CatalogVersion(device: 1, inode: inode, transaction: transaction, boot: "b")
    }

    private mutating func next() -> IngestMachine.Action { machine.next(now: clock.now) }

    /// An active generation that answers the catalog's version, and the loop waiting.
    private mutating func serving(_ number: Int = 1, at transaction: UInt64 = 10) {
        machine.opened(
            number, answered: version(transaction), isComplete: true, isSettled: true, isActive: true)
        #expect(next() == .poll)
        machine.polled(version(transaction))
        machine.examined(number)
        #expect(next() == .wait(version(transaction), until: nil))
    }

    /// Opens a generation whose fit needs no examination.
    private mutating func opened(_ number: Int, answered: CatalogVersion?, isSettled: Bool, isActive: Bool = false) {
        machine.opened(
            number, answered: answered, isComplete: isSettled, isSettled: isSettled, isActive: isActive)
        machine.examined(number)
    }

    /// The wait ends and the catalog has this version.
    private mutating func sees(_ transaction: UInt64) {
        machine.woke(now: clock.now)
        #expect(next() == .poll)
        machine.polled(version(transaction))
    }

    // MARK: - Following the catalog

    @Test("Without generations the catalog is polled, then watched")
    mutating func idle() {
        #expect(next() == .poll)
        machine.polled(version(3))
        #expect(next() == .wait(version(3), until: nil))
    }

    @Test("A new commit brings the active generation forward, chunk by chunk, without polling in between")
    mutating func follows() {
        serving()
        sees(11)
        #expect(next() == .advance(1, confirmed: 0))
        machine.advanced(1, .more)
        #expect(next() == .advance(1, confirmed: 0))
        machine.advanced(1, .finished(version(11)))
        #expect(next() == .wait(version(11), until: nil))
    }

    @Test("A comparison that saw a newer commit than the poll is not repeated for it")
    mutating func newerSnapshot() {
        serving()
        sees(11)
        _ = next()
        machine.advanced(1, .finished(version(12)))
        #expect(next() == .wait(version(12), until: nil))
    }

    @Test("Another file in the catalog's place is followed although its transaction number is smaller")
    mutating func replacedFile() {
        serving()
        machine.woke(now: clock.now)
        _ = next()
        machine.polled(version(2, inode: 9))
        #expect(next() == .advance(1, confirmed: 0))
    }

    @Test("The first generation is built, settled, and becomes active without being asked for")
    mutating func firstGeneration() {
        _ = next()
        machine.polled(version(5))
        machine.request(.init(generation: 1, kind: .adopt))
        #expect(next() == .open(1))
        opened(1, answered: nil, isSettled: false)
        #expect(next() == .advance(1, confirmed: 0))
        machine.advanced(1, .finished(version(5)))
        #expect(next() == .poll)
        machine.polled(version(5))
        #expect(next() == .settle(1))
        machine.settled(1, isActive: true)
        #expect(machine.active == 1)
        #expect(next() == .wait(version(5), until: nil))
    }

    @Test("A generation whose registry entry was lost in a crash is settled at the next start without a build")
    mutating func settlesAfterCrash() {
        opened(1, answered: version(5), isSettled: false)
        _ = next()
        machine.polled(version(5))
        #expect(next() == .settle(1))
    }

    @Test("A candidate without an active generation is settled again at the next start, which makes it the active one")
    mutating func candidateAfterCrash() {
        machine.opened(1, answered: version(5), isComplete: true, isSettled: false)
        _ = next()
        machine.polled(version(5))
        #expect(next() == .settle(1))
        machine.settled(1, isActive: true)
        #expect(machine.active == 1)
    }

    @Test("Between two chunks of a candidate's build the active generation catches up first")
    mutating func activeFirst() {
        serving()
        machine.request(.init(generation: 2, kind: .adopt))
        _ = next()
        opened(2, answered: nil, isSettled: false)
        #expect(next() == .advance(2, confirmed: 0))
        machine.advanced(2, .more)
        #expect(next() == .poll)
        machine.polled(version(11))
        #expect(next() == .advance(1, confirmed: 0))
        machine.advanced(1, .finished(version(11)))
        #expect(next() == .advance(2, confirmed: 0))
    }

    @Test("A catalog that changes all the time does not keep a candidate from being built")
    mutating func candidateIsNotStarved() {
        serving()
        machine.request(.init(generation: 2, kind: .adopt))
        _ = next()
        opened(2, answered: nil, isSettled: false)
        var advanced = [0, 0, 0]
        for transaction in UInt64(11)..<31 {
            var action = next()
            while action != .poll {
                guard case .advance(let number, _) = action else { break }
                advanced[number] += 1
                machine.advanced(number, number == 1 ? .finished(version(transaction - 1)) : .more)
                action = next()
            }
            machine.polled(version(transaction))
        }
        #expect(advanced[1] >= 10 && advanced[2] >= 10, "\(advanced)")
    }

    @Test("A request that comes during a build is taken between two chunks")
    mutating func requestDuringBuild() {
        serving()
        sees(11)
        _ = next()
        machine.advanced(1, .more)
        machine.request(.init(generation: 2, kind: .adopt))
        #expect(next() == .open(2))
        opened(2, answered: nil, isSettled: false)
        #expect(next() == .advance(1, confirmed: 0))
    }

    @Test("The fit of a tokenizer is examined once, when there is nothing else to do")
    mutating func examines() {
        machine.opened(
            1, answered: version(10), isComplete: true, isSettled: true, isActive: true)
        _ = next()
        machine.polled(version(11))
        #expect(next() == .advance(1, confirmed: 0))
        machine.advanced(1, .finished(version(11)))
        #expect(next() == .examine(1))
        machine.examined(1)
        #expect(next() == .wait(version(11), until: nil))
        sees(12)
        _ = next()
        machine.advanced(1, .finished(version(12)))
        #expect(next() == .wait(version(12), until: nil))
    }

    // MARK: - Failures

    @Test("A generation that fails is tried again after a pause that doubles up to ten seconds, then works at once")
    mutating func retries() {
        serving()
        sees(11)
        var pauses: [Duration] = []
        for _ in 0..<8 {
            #expect(next() == .advance(1, confirmed: 0))
            machine.advanceFailed(1, .generation, now: clock.now)
            guard case .wait(version(11), .some(let time)) = next() else {
                Issue.record("it does not wait")
                return
            }
            pauses.append(time - clock.now)
            clock.advance(by: time - clock.now)
            sees(11)
        }
        #expect(pauses.prefix(3) == [.milliseconds(200), .milliseconds(400), .milliseconds(800)])
        #expect(pauses.last == .seconds(10))
        _ = next()
        machine.advanced(1, .finished(version(11)))
        sees(12)
        _ = next()
        machine.advanceFailed(1, .generation, now: clock.now)
        #expect(next() == .wait(version(11 + 1), until: clock.now + .milliseconds(200)))
    }

    @Test("A generation that fails does not keep another from following")
    mutating func failuresAreApart() {
        opened(1, answered: version(10), isSettled: true, isActive: true)
        opened(2, answered: version(10), isSettled: true)
        _ = next()
        machine.polled(version(11))
        #expect(next() == .advance(1, confirmed: 0))
        machine.advanceFailed(1, .generation, now: clock.now)
        #expect(next() == .advance(2, confirmed: 0))
        machine.advanced(2, .finished(version(11)))
        #expect(next() == .poll)
        machine.polled(version(11))
        #expect(next() == .wait(version(11), until: clock.now + .milliseconds(200)))
    }

    @Test("A new commit does not shorten the pause of a generation that failed")
    mutating func pauseHolds() {
        serving()
        sees(11)
        _ = next()
        machine.advanceFailed(1, .generation, now: clock.now)
        _ = next()
        clock.advance(by: .milliseconds(150))
        sees(12)
        #expect(next() == .wait(version(12), until: clock.now + .milliseconds(50)))
    }

    @Test("While the catalog cannot be read nothing is done about it but at growing intervals")
    mutating func unreadable() {
        serving()
        var pauses: [Duration] = []
        for _ in 0..<8 {
            machine.woke(now: clock.now)
            #expect(next() == .poll)
            machine.pollFailed(now: clock.now)
            guard case .wait(nil, .some(let time)) = next() else {
                Issue.record("it does not wait")
                return
            }
            pauses.append(time - clock.now)
            clock.advance(by: time - clock.now)
        }
        #expect(pauses.first == .milliseconds(100) && pauses.last == .seconds(5))
    }

    @Test("A request wakes the loop while the catalog cannot be read, and does not open the catalog earlier")
    mutating func requestWhileUnreadable() {
        serving()
        machine.woke(now: clock.now)
        _ = next()
        machine.pollFailed(now: clock.now)
        let time = clock.now + .milliseconds(100)
        #expect(next() == .wait(nil, until: time))
        clock.advance(by: .milliseconds(10))
        machine.request(.init(generation: 2, kind: .adopt))
        machine.woke(now: clock.now)
        #expect(next() == .open(2))
        opened(2, answered: nil, isSettled: false)
        #expect(next() == .wait(nil, until: time))
    }

    @Test("A catalog that fails in the middle of a build stops all generations, and the build begins again after it")
    mutating func catalogFailsDuringBuild() {
        serving()
        sees(11)
        _ = next()
        machine.advanced(1, .more)
        _ = next()
        machine.advanceFailed(1, .catalog, now: clock.now)
        #expect(next() == .wait(nil, until: clock.now + .milliseconds(100)))
        #expect(machine.generations[0].phase == .idle, "what remained of the comparison is forgotten")
        clock.advance(by: .milliseconds(100))
        sees(11)
        #expect(next() == .advance(1, confirmed: 0))
    }

    @Test("A registry that cannot be written is tried again without another comparison")
    mutating func settleFails() {
        opened(1, answered: version(5), isSettled: false)
        _ = next()
        machine.polled(version(5))
        #expect(next() == .settle(1))
        machine.settleFailed(1, now: clock.now)
        #expect(next() == .wait(version(5), until: clock.now + .milliseconds(200)))
        clock.advance(by: .milliseconds(200))
        sees(5)
        #expect(next() == .settle(1))
    }

    @Test("A new generation that cannot be opened is recorded as failed")
    mutating func openFails() {
        serving()
        machine.request(.init(generation: 2, kind: .adopt))
        _ = next()
        machine.openFailed(2)
        #expect(next() == .markFailed(2))
        #expect(next() == .wait(version(10), until: nil))
    }

    // MARK: - Held deletions

    @Test("Held deletions wait for a person or a commit, not for a time")
    mutating func held() {
        serving()
        sees(11)
        _ = next()
        machine.advanced(1, .held(HeldDeletions(version: version(11), deletions: 50, items: 100)))
        #expect(next() == .wait(version(11), until: nil))
        sees(11)
        #expect(next() == .wait(version(11), until: nil))
        sees(12)
        #expect(next() == .advance(1, confirmed: 0))
    }

    @Test("A confirmation applies what is held and a few deletions more, once")
    mutating func confirmation() {
        serving()
        #expect(machine.confirmDeletions().isEmpty)
        sees(11)
        _ = next()
        let deletions = HeldDeletions(version: version(11), deletions: 50, items: 100)
        machine.advanced(1, .held(deletions))
        _ = next()
        let confirmed = machine.confirmDeletions()
        #expect(confirmed.map(\.generation) == [1] && confirmed.map(\.held) == [deletions])
        sees(11)
        #expect(next() == .advance(1, confirmed: 70))
        machine.advanced(1, .finished(version(11)))
        sees(12)
        #expect(next() == .advance(1, confirmed: 0))
    }

    @Test("More deletions than were confirmed are held again, without comparing over and over")
    mutating func heldAgain() {
        serving()
        sees(11)
        _ = next()
        machine.advanced(1, .held(HeldDeletions(version: version(11), deletions: 30, items: 100)))
        _ = machine.confirmDeletions()
        sees(12)
        #expect(next() == .advance(1, confirmed: 50))
        machine.advanced(1, .held(HeldDeletions(version: version(12), deletions: 90, items: 100)))
        #expect(next() == .wait(version(12), until: nil))
    }

    @Test("One deletion in five is not many, more is", arguments: [(20, false), (21, true)])
    func many(deletions: Int, isMany: Bool) {
        #expect(HeldDeletions(version: version(1), deletions: deletions, items: 100).isMany == isMany)
    }

    // MARK: - Promotions

    @Test("A candidate that answers the present version becomes active at once, is answered, and the old one is closed")
    mutating func promotesCandidate() {
        serving()
        opened(2, answered: version(10), isSettled: true)
        machine.request(.init(generation: 2, kind: .promote(7)))
        #expect(next() == .poll)
        machine.polled(version(10))
        #expect(next() == .activate(2))
        machine.activated(2)
        #expect(next() == .answer(7, .done))
        #expect(next() == .close(1))
        #expect(machine.active == 2 && machine.generations.map(\.number) == [2])
        #expect(next() == .wait(version(10), until: nil))
    }

    @Test("A retired generation is opened and caught up before it becomes active; the active one is served meanwhile")
    mutating func rollback() {
        serving(2)
        machine.request(.init(generation: 1, kind: .promote(7)))
        #expect(next() == .open(1))
        opened(1, answered: version(4), isSettled: true)
        #expect(next() == .poll)
        machine.polled(version(10))
        #expect(next() == .advance(1, confirmed: 0))
        machine.advanced(1, .more)
        #expect(next() == .poll)
        machine.polled(version(11))
        #expect(next() == .advance(2, confirmed: 0))
        machine.advanced(2, .finished(version(11)))
        #expect(next() == .advance(1, confirmed: 0))
        machine.advanced(1, .finished(version(11)))
        #expect(next() == .activate(1))
        machine.activated(1)
        #expect(next() == .answer(7, .done))
        #expect(next() == .close(2))
    }

    @Test("A promotion waits for the catch-up that the generation is in the middle of")
    mutating func promotesBusy() {
        serving()
        opened(2, answered: version(9), isSettled: true)
        #expect(next() == .advance(2, confirmed: 0))
        machine.advanced(2, .more)
        machine.request(.init(generation: 2, kind: .promote(7)))
        #expect(next() == .poll)
        machine.polled(version(10))
        #expect(next() == .advance(2, confirmed: 0))
        machine.advanced(2, .finished(version(10)))
        #expect(next() == .activate(2))
    }

    @Test("A generation whose index was never complete is not promoted")
    mutating func refusesBuilding() {
        serving()
        opened(2, answered: nil, isSettled: false)
        machine.request(.init(generation: 2, kind: .promote(7)))
        #expect(next() == .answer(7, .isBuilding(2)))
        #expect(next() == .advance(2, confirmed: 0))
    }

    @Test("The active generation is promoted by doing nothing")
    mutating func promotesActive() {
        serving()
        machine.request(.init(generation: 1, kind: .promote(7)))
        #expect(next() == .answer(7, .done))
    }

    @Test("While the catalog cannot be read a generation is promoted as it is")
    mutating func promotesWithoutCatalog() {
        serving()
        opened(2, answered: version(9), isSettled: true)
        machine.request(.init(generation: 2, kind: .promote(7)))
        _ = next()
        machine.pollFailed(now: clock.now)
        #expect(next() == .activate(2))
        machine.activated(2)
        #expect(next() == .answer(7, .done))
    }

    @Test("A generation whose deletions are held is promoted with them")
    mutating func promotesHeld() {
        serving()
        opened(2, answered: version(9), isSettled: true)
        machine.request(.init(generation: 2, kind: .promote(7)))
        _ = next()
        machine.polled(version(10))
        _ = next()
        let held = HeldDeletions(version: version(10), deletions: 9, items: 10)
        machine.advanced(2, .held(held))
        #expect(next() == .activate(2))
        machine.activated(2)
        #expect(next() == .answer(7, .done))
        #expect(machine.generations.map(\.phase) == [.holding(held)])
    }

    @Test("A promotion that fails is answered, and a generation that was opened for it is closed again")
    mutating func promotionFails() {
        serving()
        machine.request(.init(generation: 2, kind: .promote(7)))
        _ = next()
        opened(2, answered: version(9), isSettled: true)
        _ = next()
        machine.polled(version(10))
        _ = next()
        machine.advanceFailed(2, .generation, now: clock.now)
        #expect(next() == .answer(7, .failed(2)))
        #expect(next() == .close(2))
        #expect(machine.active == 1 && machine.generations.map(\.number) == [1])
    }

    @Test("A candidate stays at work when its promotion fails")
    mutating func candidateStays() {
        serving()
        opened(2, answered: version(10), isSettled: true)
        machine.request(.init(generation: 2, kind: .promote(7)))
        _ = next()
        machine.polled(version(10))
        _ = next()
        machine.activateFailed(2)
        #expect(next() == .answer(7, .failed(2)))
        #expect(machine.active == 1 && machine.generations.map(\.number) == [1, 2])
    }

    @Test("Promotions are done one after another; a new generation does not wait for them")
    mutating func onePromotionAtATime() {
        serving()
        opened(2, answered: version(9), isSettled: true)
        opened(3, answered: version(9), isSettled: true)
        machine.request(.init(generation: 2, kind: .promote(7)))
        machine.request(.init(generation: 3, kind: .promote(8)))
        machine.request(.init(generation: 4, kind: .adopt))
        #expect(next() == .poll)
        machine.polled(version(10))
        #expect(next() == .open(4))
        opened(4, answered: nil, isSettled: false)
        #expect(next() == .advance(2, confirmed: 0))
        machine.advanced(2, .finished(version(10)))
        #expect(next() == .activate(2))
        machine.activated(2)
        #expect(next() == .answer(7, .done))
        #expect(next() == .close(1))
        #expect(next() == .poll)
        #expect(machine.promotion?.generation == 3)
    }
}
