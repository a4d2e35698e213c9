import numpy as np

from isac2.simulate.junk import edge_image, ice_image
from isac2.simulate.noise import coloured_amplitudes, noise_images


def test_noise_has_unit_variance_and_is_each_images_own() -> None:
    noise = noise_images(7, range(4, 12), 64)
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    np.testing.assert_array_equal(noise[3], noise_images(7, range(7, 8), 64)[0])
    assert not np.array_equal(noise[0], noise_images(8, range(4, 5), 64)[0])


def test_coloured_noise_is_stronger_at_low_frequencies_with_the_same_variance() -> None:
    noise = noise_images(7, range(40), 64, coloured_amplitudes(64))
    assert abs(noise.std() - 1) < 0.02
    power = (np.abs(np.fft.rfft2(noise)) ** 2).mean(axis=0)
    assert power[1:4, 1:4].mean() > 4 * power[28:, 28:].mean()


def test_ice_and_edges_are_bright_things_on_nothing() -> None:
    for draw in (ice_image, edge_image):
        images = np.stack([draw(np.random.default_rng(seed), 64, 32) for seed in range(12)])
        assert images.dtype == np.float32
        assert np.isfinite(images).all()
        assert (images[:, :32, :32].max(axis=(1, 2)) > 0.4).all()
        assert (np.quantile(images, 0.02, axis=(1, 2)) < 0.1).all()
