package import Core

/// What tests inject into a daemon, to cause what only a defect could. The product leaves all of it empty.
package struct DaemonHooks: Sendable {
    /// Called before a block of items is encoded, on the encoder's thread.
    package var willEncode: @Sendable ([ItemID]) -> Void = { _ in }

    package init() {}
}
