"""Pure array functions on images: filters, masks, CTF, resampling, spectra."""
