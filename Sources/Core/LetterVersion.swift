/// The version of Letter.
package enum LetterVersion {
    /// Major, minor and patch.
    package static let current = "0.1.0"
}
